import { refuseTarget } from "../../src/checkpoint/write_safetensors.ts";
import { InputError } from "../../src/errors.ts";
import { assert, assertEquals, assertMatch, assertThrows } from "../assert.ts";
import { everyNth } from "../soak.ts";
import { floats, integers, readGolden } from "../golden.ts";
import { argmaxRows, maxDifference } from "../model/tiny.ts";
import { inProcess } from "./in_process.ts";
import { mxoss } from "./program.ts";

const GOLDENS = readGolden("logits.safetensors");
const IDS = integers(GOLDENS, "one_turn.ids");
const VOCAB = 1024;

/** Runs `mxoss logits` with a file in an empty directory; gives the file's tensors and bytes. */
async function logits(args: readonly string[]) {
  const writable = Deno.makeTempDirSync();
  try {
    const out = `${writable}/logits.safetensors`;
    const { code, stdout, stderr } = await inProcess(["logits", "--out", out, ...args]);
    assertEquals({ code, stdout, stderr }, { code: 0, stdout: "", stderr: "" });
    assertEquals([...Deno.readDirSync(writable)].map(({ name }) => name), ["logits.safetensors"]);
    return { tensors: readGolden(`file://${out}`), bytes: Deno.readFileSync(out) };
  } finally {
    Deno.removeSync(writable, { recursive: true });
  }
}

// Outside a soak not on reference, whose logits tests/model/shapes_test.ts compares; it takes longest.
for (const backend of everyNth(2, ["emulate", "reference"])) {
  Deno.test(`logits on ${backend} in f32 are Hugging Face's to 1e-3, with the same argmax`, async () => {
    const { tensors } = await logits(["--backend", backend, "--dtype", "f32", "--tokens", IDS.join(",")]);
    assertEquals(integers(tensors, "ids"), IDS);
    assertEquals(tensors.get("logits")!.shape, [IDS.length, VOCAB]);
    const ours = floats(tensors, "logits"), theirs = floats(GOLDENS, "one_turn.w_mxfp4");
    assertEquals(ours.length, theirs.length);
    const difference = maxDifference(ours, theirs);
    assert(difference <= 1e-3, `max |difference| ${difference}`);
    assertEquals(argmaxRows(ours, VOCAB), argmaxRows(theirs, VOCAB));
  });
}

Deno.test("logits are the same bytes for every number of threads, chunk size and way to load", async () => {
  const tokens = ["--tokens", IDS.join(",")];
  const { bytes } = await logits([...tokens, "--threads", "1"]);
  for (const args of [["--threads", "2"], ["--chunk", "7"], ["--chunk", "1"], ["--weights", "read"]]) {
    const other = (await logits([...tokens, ...args])).bytes;
    assert(bytes.length === other.length && bytes.every((byte, i) => byte === other[i]), args.join(" "));
  }
});

Deno.test("logits takes a text, in which special tokens count", async () => {
  const { tensors } = await logits(["--prompt", "<|start|>user<|message|>"]);
  assertEquals(integers(tensors, "ids"), IDS.slice(0, 5));
});

Deno.test("logits does not replace a file without --force, and does with it", async () => {
  const writable = Deno.makeTempDirSync();
  const out = `${writable}/logits.safetensors`;
  try {
    Deno.writeTextFileSync(out, "precious");
    const args = ["logits", "--tokens", "1,2", "--out", out];
    const refused = await inProcess(args);
    assertEquals(refused.code, 2);
    assertMatch(refused.stderr, /^error: --out: [^\n]*logits\.safetensors: exists already; --force replaces it\n$/);
    assertEquals(Deno.readTextFileSync(out), "precious");
    assertEquals((await mxoss([...args, "--force"], { writable })).code, 0);
    assertEquals(integers(readGolden(`file://${out}`), "ids"), [1, 2]);
  } finally {
    Deno.removeSync(writable, { recursive: true });
  }
});

Deno.test("logits names the permission that Deno was started without", async () => {
  const { code, stdout, stderr } = await mxoss([
    "logits",
    "--tokens",
    "1",
    "--out",
    `${Deno.cwd()}/not-allowed.safetensors`,
  ]);
  assertEquals({ code, stdout }, { code: 2, stdout: "" });
  assertMatch(stderr, /^error: deno was started without a permission: [^\n]*--allow-write[^\n]*\n$/);
});

Deno.test("logits --force replaces no device, no pipe and no link", async () => {
  const writable = Deno.makeTempDirSync();
  const out = `${writable}/logits.safetensors`;
  try {
    for (const put of [() => Deno.symlinkSync("/dev/null", out), () => mkfifo(out)]) {
      await put();
      const { ino } = Deno.lstatSync(out);
      const { code, stderr } = await inProcess(["logits", "--tokens", "1", "--out", out, "--force"]);
      assertEquals(code, 2);
      assertMatch(stderr, /^error: [^\n]*: cannot be written: expected a regular file or none, got [^\n]+\n$/);
      assertEquals(Deno.lstatSync(out).ino, ino);
      Deno.removeSync(out);
    }
  } finally {
    Deno.removeSync(writable, { recursive: true });
  }
  assertThrows(() => refuseTarget("/dev/null", true), InputError, "/dev/null: cannot be written");
});

const mkfifo = (path: string) => new Deno.Command("mkfifo", { args: [path] }).output();
