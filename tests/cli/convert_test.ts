import { assert, assertEquals, assertMatch } from "../assert.ts";
import { TemporaryDirectory } from "../checkpoint/container.ts";
import { gguf } from "../checkpoint/gguf_files.ts";
import { inProcess } from "./in_process.ts";
import { mxoss } from "./program.ts";

const GOLDENS = new URL("../goldens/gguf/", import.meta.url).pathname;
const Q8 = `${GOLDENS}model-q8_0.gguf`, BF16 = `${GOLDENS}model-bf16.gguf`;

Deno.test("mxoss convert writes a checkpoint of a GGUF file that mxoss runs", async () => {
  using dir = new TemporaryDirectory();
  const out = `${dir.path}/new`;
  const done = await mxoss(["convert", "--gguf", BF16, "--out", out], { writable: out });
  assertMatch(done.stdout, /new: 6 files, [\d.]+ kB\n$/);
  assertEquals([done.stderr, done.code], ["", 0]);
  const report = JSON.parse((await inProcess(["inspect", "--model", out, "--json"])).stdout);
  assertEquals([report.scheme, report.layout], ["w_mxfp4", "hf_mxfp4"]);
  const answer = await inProcess(["--model", out, "--raw", "--max-tokens", "3", "The quick brown fox"]);
  assertEquals(answer.code, 0, answer.stderr);
  // A finished checkpoint is no place for another one.
  const again = await inProcess(["convert", "--gguf", BF16, "--out", out]);
  assertMatch(again.stderr, /^error: --out: .*new: expected a new or empty directory, .*, got 6 other files\n$/);
  assertEquals(again.code, 2);
});

Deno.test("mxoss convert says which numbers the file has rounded", async () => {
  using dir = new TemporaryDirectory();
  const { code, stderr } = await inProcess(["convert", "--gguf", Q8, "--out", `${dir.path}/new`]);
  const names = /^warning: \S+\.weight and 9 more: Q8_0, rounded from what the model had; accuracy is that of the file/;
  assertMatch(stderr, names);
  assertEquals(code, 0);
  const { warnings } = JSON.parse((await inProcess(["inspect", "--model", `${dir.path}/new`, "--json"])).stdout);
  assertEquals(warnings, []);
  const shown = await inProcess(["inspect", "--model", `${dir.path}/new`]);
  assertMatch(shown.stdout, /^quantized +attention bf16 to q8_0\/f32, by config\.json$/m);
  const further = ["quantize", "--model", `${dir.path}/new`, "--scheme", "w_mxfp4", "--attention", "ptpc_fp8"];
  const again = await inProcess([...further, "--out", `${dir.path}/fp8`]);
  assertMatch(again.stderr, /warning: weights that are q8_0 already are quantized again\n/);
  const twice = await inProcess(["inspect", "--model", `${dir.path}/fp8`]);
  assertMatch(twice.stderr, /\/config\.json: weights were quantized more than once: to q8_0 before\n/);
});

Deno.test("mxoss convert takes experts that are not MXFP4, which quantize makes MXFP4 and warns of", async () => {
  using dir = new TemporaryDirectory();
  const out = `${dir.path}/new`, four = `${dir.path}/four`;
  const done = await inProcess(["convert", "--gguf", `${GOLDENS}experts-q8_0.gguf`, "--out", out]);
  assertMatch(done.stderr, /^warning: \S+\.weight and 15 more: Q8_0, rounded from what the model had; /);
  assertEquals(done.code, 0);
  const shown = await inProcess(["inspect", "--model", out]);
  assertEquals([shown.stderr, shown.code], ["", 0]);
  assertMatch(shown.stdout, /^layout +hf_bf16$/m);
  const record = /^quantized +experts bf16 to q8_0\/f32 and attention bf16 to q8_0\/f32, by config\.json$/m;
  assertMatch(shown.stdout, record);
  const again = await inProcess(["quantize", "--model", out, "--scheme", "w_mxfp4", "--out", four]);
  assertEquals([again.stderr, again.code], ["warning: weights that are q8_0 already are quantized again\n", 0]);
  const answer = await inProcess(["--model", four, "--raw", "--max-tokens", "3", "The quick brown fox"]);
  assertMatch(answer.stderr, /^warning: \S+config\.json: weights were quantized more than once: to q8_0 before\n/);
  assertEquals(answer.code, 0);
});

const other = gguf({ values: [["general.architecture", [8, "llama"]]] });
const cases: readonly (readonly [name: string, bytes: Uint8Array | null, message: RegExp])[] = [
  ["none.gguf", null, /none\.gguf: no such file$/],
  ["text.gguf", new TextEncoder().encode("hello, world"), /text\.gguf: expected a GGUF file, got none$/],
  ["empty.gguf", new Uint8Array(0), /empty\.gguf: expected a GGUF file, got none$/],
  [
    "pointer.gguf",
    new TextEncoder().encode("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"),
    /pointer\.gguf: expected a GGUF file, got a git-LFS pointer, in place of the file itself \(git lfs pull [^)]*\)$/,
  ],
  ["llama.gguf", other, /llama\.gguf: general\.architecture: expected gpt-oss, got "llama"$/],
  ["cut.gguf", Deno.readFileSync(Q8).slice(0, 3000), /cut\.gguf: ends within its header$/],
  [
    "short.gguf",
    Deno.readFileSync(Q8).slice(0, 100_000),
    /short\.gguf: tensor \S+: expected \d+ bytes, up to its end, got a file of 100000$/,
  ],
];
for (const [name, bytes, message] of cases) {
  Deno.test(`mxoss convert refuses ${name} in one line and writes nothing`, async () => {
    using dir = new TemporaryDirectory();
    if (bytes !== null) dir.write(name, bytes);
    const args = ["convert", "--gguf", `${dir.path}/${name}`, "--out", `${dir.path}/new`];
    const { code, stdout, stderr } = await inProcess(args);
    assertEquals([code, stdout], [2, ""]);
    assertMatch(stderr, /^error: [^\n]+\n$/);
    assertMatch(stderr.trimEnd(), message);
    assert(![...Deno.readDirSync(dir.path)].some(({ name }) => name === "new"));
  });
}

Deno.test("mxoss convert says what to name in place of a directory, a repository or an address", async () => {
  using dir = new TemporaryDirectory();
  const refused = async (path: string) => {
    const { stderr, stdout, code } = await inProcess(["convert", "--gguf", path, "--out", `${dir.path}/new`]);
    assertEquals([code, stdout], [2, ""]);
    assert(![...Deno.readDirSync(dir.path)].some(({ name }) => name === "new"));
    return stderr;
  };
  const expected = "expected a GGUF file", none = "no such file; of a repository, name the file that this downloads: ";
  assertEquals(await refused(dir.path), `error: ${dir.path}: ${expected}, got a directory without one\n`);
  dir.write("a/b/c/deep.gguf", "");
  dir.write("a/b/notes.txt", "");
  const found = `such as ${dir.path}/a/b/c/deep.gguf, got a directory`;
  assertEquals(await refused(`${dir.path}/`), `error: ${dir.path}/: ${expected}, ${found}\n`);
  dir.write("z.GGUF", "");
  assertMatch(await refused(dir.path), /: expected a GGUF file, such as \S+\/z\.GGUF, got a directory\n$/);
  dir.write("hf/model.safetensors", "");
  assertMatch(await refused(`${dir.path}/hf`), /, got a directory of safetensors, which needs no conversion\n$/);
  dir.write("torch/model.pth", "");
  assertMatch(
    await refused(`${dir.path}/torch`),
    /: expected a GGUF file, got a directory: weights of PyTorch, [^\n]*\n$/,
  );
  assertEquals(await refused("/dev/null"), `error: /dev/null: ${expected}, got a device or a pipe\n`);
  for (const name of ["org/gpt-GGUF", "org/gpt-GGUF:Q8_0", "org/gpt-GGUF@main"]) {
    assertEquals(await refused(name), `error: ${name}: ${none}hf download org/gpt-GGUF FILE.gguf\n`);
  }
  const noNames = ["org/name.gguf", "org/two/three", `${dir.path}/none`, "gpt-oss:20b", "org/a--b", "https://x/a--b/c"];
  for (const path of noNames) {
    assertEquals(await refused(path), `error: ${path}: no such file\n`);
  }
  const web = "https://huggingface.co/org/gpt-GGUF", downloads = "name the file that this downloads: hf download";
  const address = `an address, and nothing is downloaded here; ${downloads} org/gpt-GGUF`;
  assertEquals(await refused(web), `error: ${web}: ${address} FILE.gguf\n`);
  const file = `${web}/resolve/main/Q8_0/x.gguf?download=true`;
  assertEquals(await refused(file), `error: ${file}: ${address} Q8_0/x.gguf\n`);
});

Deno.test("mxoss convert refuses other types by tensor and type", async () => {
  using dir = new TemporaryDirectory();
  // In the header a type follows the sizes: the output's are the vocabulary and the width.
  const bytes = Deno.readFileSync(Q8), name = new TextEncoder().encode("output.weight");
  const at = bytes.findIndex((_, i) => name.every((byte, k) => bytes[i + k] === byte));
  new DataView(bytes.buffer).setUint32(at + name.length + 4 + 16, 12, true);
  const path = dir.write("x.gguf", bytes);
  const said = await inProcess(["convert", "--gguf", path, "--out", `${dir.path}/new`]);
  const expected = "expected F32, F16, BF16 or Q8_0 [299, 64], got Q4_K [299, 64]";
  assertEquals(said.stderr, `error: ${path}: tensor output.weight: ${expected}\n`);
  assertEquals([said.code, said.stdout], [2, ""]);
});
