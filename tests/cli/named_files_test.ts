/** Every option that names a file says in the same words what is wrong with it. */
import { InputError } from "../../src/errors.ts";
import { readText, unreadable } from "../../src/read.ts";
import { assert, assertEquals, assertThrows } from "../assert.ts";
import { TemporaryDirectory } from "../checkpoint/container.ts";
import { inProcess } from "./in_process.ts";

const PROBLEMS = "tests/goldens/word-problems.jsonl";

/** Command lines that end with an option which names a file; `OUT` stands for a path that can be written. */
const OPTIONS: readonly (readonly string[])[] = [
  ["--prompt-file"],
  ["logits", "--out", "OUT", "--prompt-file"],
  ["serve", "--api-key-file"],
  ["eval", "gsm8k", "--data"],
  ["eval", "gsm8k", "--data", PROBLEMS, "--shots", "1", "--shots-from"],
  ["eval", "perplexity", "--text"],
  ["compare", "--b", "kv=fp8", "--text"],
  ["quantize", "--scheme", "fp8", "--out", "OUT", "--calibrate"],
  ["chat", "--load"],
];

Deno.test("a file that is not there, a directory and bytes that are no text are said in the same words", async () => {
  using dir = new TemporaryDirectory();
  const bytes = dir.write("bytes", new Uint8Array([0x7b, 0xff, 0x7d])), empty = dir.write("empty", "");
  const said = async (words: readonly string[], file: string) => {
    const { code, stdout, stderr } = await inProcess(
      [...words, file].map((word) => word === "OUT" ? `${dir.path}/out` : word),
    );
    assertEquals([code, stdout], [2, ""], stderr);
    const start = `error: ${words.at(-1)}: ${file}: `;
    assert(stderr.startsWith(start) && /^[^\n]+\n$/.test(stderr), stderr);
    return stderr.slice(start.length, -1);
  };
  for (const words of OPTIONS) {
    for (const missing of ["none", "none/x", "empty/x"]) {
      assertEquals(await said(words, `${dir.path}/${missing}`), "no such file");
    }
    assertEquals(await said(words, dir.path), "expected a file, got a directory");
    const others = words[0] === "chat" ? "a conversation that /save wrote, got no JSON" : "UTF-8 text, got other bytes";
    assertEquals(await said(words, bytes), `expected ${others}`);
    assert((await said(words, empty)).startsWith("expected "));
  }
});

Deno.test("places to write and to look into are refused by their options before anything is computed", async () => {
  using dir = new TemporaryDirectory();
  const there = dir.write("there", "precious"),
    refused = async (...args: readonly string[]) => {
      const { code, stdout, stderr } = await inProcess(args);
      assertEquals([code, stdout], [2, ""], stderr);
      return stderr.replaceAll(dir.path, "");
    };
  for (const words of [["logits", "--tokens", "1"], ["bench"], ["devices", "--verify"]]) {
    const out = (name: string) => refused(...words, "--out", `${dir.path}/${name}`);
    assertEquals(await out("there"), "error: --out: /there: exists already; --force replaces it\n");
    assertEquals(await out("no/x"), "error: --out: /no/x: cannot be written: no directory /no\n");
    assertEquals(
      await out(""),
      "error: --out: /: cannot be written: expected a regular file or none, got a directory\n",
    );
    // The system has a word too: here of the temporary name, which is longer.
    const said = (await out("x".repeat(235))).replace(/x+(?:…x+)?/, "x");
    assertEquals(said, "error: --out: /x: cannot be written: File name too long (os error 36)\n");
  }
  const chat = (name: string) => refused("chat", "--out", `${dir.path}/${name}`);
  assertEquals(await chat("no"), "error: --out: /no: expected a directory, got nothing of that name\n");
  assertEquals(await chat("there"), "error: --out: /there: expected a directory, got a file\n");
  const list = await refused("list", dir.path, `${dir.path}/no`);
  assertEquals(list, "error: /no: expected a directory, got nothing of that name\n");
  assertEquals([Deno.readTextFileSync(there), [...Deno.readDirSync(dir.path)].length], ["precious", 1]);
});

Deno.test("what the system refuses is said without the call and the path that Deno adds", () => {
  const refused = new Deno.errors.PermissionDenied("Permission denied (os error 13): open '/x y/it's'");
  const error = unreadable("--text: /x y/it's", Object.assign(refused, { code: "EACCES" }));
  assert(error instanceof InputError);
  assertEquals(error.message, "--text: /x y/it's: cannot be read: Permission denied (os error 13)");
  const defect = new TypeError("x");
  assertEquals(unreadable("file", defect), defect);
});

Deno.test("readText() reads files and pipes, up to its limit", () => {
  using dir = new TemporaryDirectory();
  assertEquals(readText(dir.write("text", "a€b"), 5), "a€b");
  assertThrows(() => readText(dir.write("long", "a€bc"), 5), InputError, "/long: expected at most 5 bytes, got more");
  if (Deno.build.os !== "windows") {
    assertThrows(() => readText("/dev/zero", 99, "x"), InputError, "x: expected at most");
  }
});
