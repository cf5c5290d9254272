/** Where `--out` must not lead: into a model, to a pipe, to where rights are missing; said before anything is read. */
import { assertEquals, assertThrows } from "../assert.ts";
import { refuseOut, writeOutFile } from "../../src/cli/places.ts";
import { InputError } from "../../src/errors.ts";
import { Sources } from "../../src/quantize/hashes.ts";
import { TemporaryDirectory } from "../checkpoint/container.ts";
import { inProcess, replaced } from "./in_process.ts";
import { TINY } from "./program.ts";
import { withoutPrivileges } from "./without_privileges.ts";

const DATA = new URL("../goldens/word-problems.jsonl", import.meta.url).pathname;

/** Commands whose --out is a directory. */
function commands(text: string): string[][] {
  return [
    ["eval", "gsm8k", "--data", DATA, "--limit", "1"],
    ["eval", "perplexity", "--text", text],
    ["compare", "--text", text, "--b", "scheme=w_mxfp4_a_mxfp4"],
    ["quantize", "--scheme", "w_mxfp4_a_mxfp4"],
  ];
}

function modelIn(dir: TemporaryDirectory): { readonly path: string; state(): string[] } {
  const path = `${dir.path}/a model`;
  Deno.mkdirSync(path);
  for (const { name, isFile } of Deno.readDirSync(TINY)) {
    if (isFile) Deno.copyFileSync(`${TINY}/${name}`, `${path}/${name}`);
  }
  const file = (name: string) => `${name} ${Deno.statSync(`${path}/${name}`).mtime?.getTime()}`;
  return { path, state: () => [...Deno.readDirSync(path)].map(({ name }) => file(name)).sort() };
}

Deno.test("no --out leads into a model's directory", async () => {
  using dir = new TemporaryDirectory();
  const model = modelIn(dir), before = model.state();
  const text = dir.write("text.txt", "Wen has 14 peaches.");
  const outside = "expected a place outside a model's directory, got one in it\n";
  for (const command of commands(text)) {
    for (const dry of command[0] === "quantize" ? [[]] : [[], ["--dry-run"]]) {
      const got = await inProcess([...command, ...dry, "--model", model.path, "--out", model.path]);
      const said = command[0] === "quantize"
        ? `expected a new or empty directory, or one of an interrupted run, got ${before.length} other files\n`
        : outside;
      assertEquals(got, { code: 2, stdout: "", stderr: `error: --out: ${model.path}: ${said}` });
    }
  }
  const bench = ["bench", "--model", model.path, "--seconds", "1", "--force"];
  const logits = ["logits", "--model", model.path, "--prompt", "Hi", "--force"];
  const files: [string[], string][] = [
    [bench, "config.json"],
    [bench, "model.safetensors"],
    [logits, "model.safetensors"],
  ];
  for (const [command, name] of files) {
    const out = `${model.path}/${name}`, got = await inProcess([...command, "--out", out]);
    assertEquals(got, { code: 2, stdout: "", stderr: `error: --out: ${out}: ${outside}` });
  }
  assertEquals(model.state(), before);
});

Deno.test("no file is written where the weights or the settings of a model are looked for", () => {
  using dir = new TemporaryDirectory();
  const weights = `${TINY}/model.safetensors`, single = `${dir.path}/single`, indexed = `${dir.path}/indexed`;
  const unindexed = `${dir.path}/unindexed`, damaged = `${dir.path}/damaged`;
  for (const path of [single, indexed, unindexed, damaged]) {
    Deno.mkdirSync(path);
    Deno.copyFileSync(`${TINY}/config.json`, `${path}/config.json`);
  }
  Deno.copyFileSync(weights, `${single}/model.safetensors`);
  Deno.writeTextFileSync(`${single}/mine.safetensors`, "mine");
  Deno.copyFileSync(weights, `${indexed}/first.safetensors`);
  const index = "model.safetensors.index.json";
  Deno.writeTextFileSync(`${indexed}/${index}`, JSON.stringify({ weight_map: { a: "first.safetensors" } }));
  Deno.copyFileSync(weights, `${unindexed}/b.safetensors`);
  Deno.copyFileSync(weights, `${damaged}/b.safetensors`);
  Deno.writeTextFileSync(`${damaged}/${index}`, "{");
  for (
    const [path, name] of [
      [single, index],
      [single, "generation_config.json"],
      [single, "chat_template.jinja"],
      [indexed, "first.safetensors"],
      [indexed, "model.safetensors"],
      [unindexed, "b.safetensors"],
      [unindexed, "new.safetensors"],
      [unindexed, "model.safetensors"],
      [damaged, "new.safetensors"],
    ] as const
  ) {
    const out = `${path}/${name}`, subject = { option: "out", file: out };
    const thrown = assertThrows(() => refuseOut(out, true), InputError, out);
    assertEquals([thrown.subject, thrown.expected], [subject, "a place outside a model's directory"]);
  }
  // What no reader takes for a part of the model harms nothing.
  for (
    const [path, name] of [
      [single, "new.safetensors"],
      [single, "mine.safetensors"],
      [single, "bench.json"],
      [indexed, "new.safetensors"],
      [unindexed, ".new.safetensors"],
    ] as const
  ) refuseOut(`${path}/${name}`, true);
});

Deno.test("--out at a pipe, or at a link that leads to itself, says so", async () => {
  using dir = new TemporaryDirectory();
  const pipe = `${dir.path}/pipe`, text = dir.write("text.txt", "Wen has 14 peaches.");
  assertEquals(new Deno.Command("mkfifo", { args: [pipe] }).outputSync().code, 0);
  for (const command of commands(text)) {
    for (const dry of command[0] === "quantize" ? [[]] : [[], ["--dry-run"]]) {
      const { code, stderr } = await inProcess([...command, ...dry, "--out", pipe]);
      assertEquals([code, stderr], [2, `error: --out: ${pipe}: expected a directory, got a device or pipe\n`]);
    }
  }
  const link = `${dir.path}/link`;
  Deno.symlinkSync("link", link);
  for (const command of commands(text)) {
    const { code, stderr } = await inProcess([...command, "--out", link]);
    assertEquals([code, stderr], [2, `error: --out: ${link}: expected a directory, got a link that leads to none\n`]);
  }
});

Deno.test("a file that another run has written in the place of --out meanwhile is replaced by force only", () => {
  using dir = new TemporaryDirectory();
  const out = `${dir.path}/page.html`;
  refuseOut(out, false);
  Deno.writeTextFileSync(out, "another run's");
  assertThrows(() => writeOutFile(out, "own", false), InputError, `${out}: exists already; --force replaces it`);
  assertEquals(Deno.readTextFileSync(out), "another run's");
  writeOutFile(out, "own", true);
  assertEquals([Deno.readTextFileSync(out), [...Deno.readDirSync(dir.path)].length], ["own", 1]);
});

Deno.test("--out where rights are missing is named with the option by all commands", async () => {
  using dir = new TemporaryDirectory();
  const text = dir.write("text.txt", "Wen has 14 peaches."), denied = "Permission denied (os error 13)\n";
  for (const [name, mode, lacks] of [["shut", 0o555, "written to"], ["blind", 0o333, "read"]] as const) {
    const out = `${dir.path}/${name}`;
    Deno.mkdirSync(out);
    Deno.chmodSync(out, mode);
    for (const command of [...commands(text), ["chat"]]) {
      const { code, stderr } = await withoutPrivileges([...command, "--out", out]);
      assertEquals([code, stderr], [2, `error: --out: ${out}: expected a directory that can be ${lacks}: ${denied}`]);
    }
    Deno.chmodSync(out, 0o755);
  }
});

Deno.test("quantize refuses its --out before it hashes the weights", async () => {
  using dir = new TemporaryDirectory();
  dir.write("notes.txt", "mine");
  const read = () => Promise.reject(new Error("hashed"));
  using _replaced = replaced([Sources, { read }]);
  const { code, stderr } = await inProcess(["quantize", "--scheme", "w_mxfp4_a_mxfp4", "--out", dir.path]);
  const expected = "expected a new or empty directory, or one of an interrupted run, got 1 other file";
  assertEquals([code, stderr], [2, `error: --out: ${dir.path}: ${expected}\n`]);
});

Deno.test("quantize leaves no directory where it refuses what it reads of the weights", async () => {
  using dir = new TemporaryDirectory();
  const refused = InputError.of("wrong_value", { file: "w" }, "finite numbers", "NaN");
  for (const [expected, read] of [[2, () => Promise.reject(refused)], [130, () => Promise.resolve(null)]] as const) {
    using _replaced = replaced([Sources, { read }]);
    const out = `${dir.path}/a/b`;
    const { code } = await inProcess(["quantize", "--scheme", "w_mxfp4_a_mxfp4", "--out", out]);
    assertEquals([code, [...Deno.readDirSync(dir.path)]], [expected, []]);
  }
});

Deno.test("a file in the place of the parts of a run is called so", async () => {
  using dir = new TemporaryDirectory();
  const shards = dir.write("shards", "x"), text = dir.write("text.txt", "Wen has 14 peaches.");
  for (
    const args of [["eval", "perplexity", "--text", text, "--shard", "1/2", "--out", dir.path], ["report", dir.path]]
  ) {
    const { code, stderr } = await inProcess(args);
    assertEquals([code, stderr], [2, `error: ${shards}: expected a directory, got a file\n`]);
  }
});
