/** `mxoss list`: models of a cache and of directories, and other tools' files. */
import { hubCache, lookForHub } from "../../src/cli/hub.ts";
import { InputError } from "../../src/errors.ts";
import { fits } from "../../src/memory.ts";
import { assert, assertEquals, assertMatch, assertThrows } from "../assert.ts";
import { Cache } from "../checkpoint/hub_tree.ts";
import { TemporaryDirectory } from "../checkpoint/container.ts";
import { inProcess, replaced } from "./in_process.ts";
import { listDirectory } from "../../src/cli/listed.ts";
import { TINY } from "./program.ts";
import { withoutPrivileges } from "./without_privileges.ts";

interface Model {
  readonly name: string;
  readonly refs: readonly string[];
  readonly commit: string | null;
  readonly layout: string | null;
  readonly scheme: string | null;
  readonly weight_bytes: number | null;
  readonly file_bytes: number;
  readonly fits: boolean | null;
  readonly problem: string | null;
}

async function list(cache: string, ...args: string[]): Promise<Model[]> {
  const { code, stdout, stderr } = await inProcess(["list", "--json", ...args], { env: { HF_HUB_CACHE: cache } });
  assertEquals([code, stderr], [0, ""]);
  return JSON.parse(stdout).models;
}

Deno.test("mxoss list shows every snapshot of the cache by the name that --model takes", async () => {
  using cache = new Cache();
  cache.model("org/tiny");
  cache.model("org/tiny", { commit: "b".repeat(40), ref: "refs/pr/1" });
  Deno.copyFileSync(`${cache.path}/models--org--tiny/refs/main`, `${cache.path}/models--org--tiny/refs/v1`);
  cache.model("org/cut", { left: ["model.safetensors"] });
  cache.write("models--meta--llama/snapshots/x/config.json", {
    architectures: ["LlamaForCausalLM"],
    model_type: "llama",
  });
  cache.write("models--meta--llama/snapshots/x/model.safetensors", "0123456789");
  cache.write("datasets--org--data/refs/main", "a");
  cache.write(".locks/x", "");
  const models = await list(cache.path);
  const inspected = JSON.parse((await inProcess(["inspect", "--json"])).stdout);
  assertEquals(models.map(({ name, refs }) => [name, refs]), [
    ["meta/llama@x", []],
    ["org/cut", ["main"]],
    ["org/tiny", ["main", "v1"]],
    ["org/tiny@refs/pr/1", ["refs/pr/1"]],
  ]);
  const [llama, cut, tiny, other] = models as [Model, Model, Model, Model];
  assertEquals([tiny.layout, tiny.scheme, tiny.weight_bytes], ["hf_mxfp4", "w_mxfp4", inspected.weight_bytes]);
  assertEquals([tiny.fits, tiny.problem, other.fits], [true, null, true]);
  assert(tiny.file_bytes > tiny.weight_bytes!);
  assertMatch(llama.problem!, /^config\.json: architectures: expected "GptOssForCausalLM", got "LlamaForCausalLM"$/);
  assertEquals([llama.layout, llama.fits, llama.weight_bytes], [null, null, null]);
  assertMatch(cut.problem!, /the snapshot is incomplete, complete it by: hf download org\/cut$/);
  for (const { name } of [tiny, other]) {
    const { code } = await inProcess(["inspect", "--model", name], { env: { HF_HUB_CACHE: cache.path } });
    assertEquals(code, 0, name);
  }
  const text = (await inProcess(["list"], { env: { HF_HUB_CACHE: cache.path } })).stdout.split("\n");
  assertMatch(text[0]!, /^model +revision +layout +scheme +weights +in memory/);
  assertMatch(text[3]!, /^org\/tiny +main v1 aaaaaaaa +hf_mxfp4 +w_mxfp4 +10\.9 MB +yes$/);
});

Deno.test("mxoss list shows checkpoints below a directory that has a stray file of weights", async () => {
  using dir = new TemporaryDirectory();
  for (const name of ["config.json", "model.safetensors"]) {
    for (const folder of ["quantized", "org/name"]) {
      dir.write(`${folder}/${name}`, "");
      Deno.copyFileSync(`${TINY}/${name}`, `${dir.path}/${folder}/${name}`);
    }
  }
  dir.write("notes/adapter_config.json", {});
  const listed = async () =>
    (await list(`${dir.path}/none`, dir.path)).map(({ name, problem }) => [name.replace(dir.path, ""), problem]);
  const adapter = "expected a checkpoint in safetensors, got an adapter of PEFT (LoRA), which is no whole model";
  assertEquals(await listed(), [["/notes", adapter], ["/org/name", null], ["/quantized", null]]);
  // What mxoss logits writes, and a file that is another tool's.
  for (
    const [stray, problem] of [
      ["logits.safetensors", "config.json: no such file; a checkpoint directory has one"],
      ["model.pt", "expected a checkpoint in safetensors, got weights of PyTorch, not safetensors"],
    ] as const
  ) {
    dir.write(stray, "0123456789");
    assertEquals(await listed(), [["", problem], ["/org/name", null], ["/quantized", null]]);
    // Its ten bytes alone: the checkpoints have rows of their own.
    const [own] = await list(`${dir.path}/none`, dir.path);
    assertEquals(own?.file_bytes, 10);
    Deno.removeSync(`${dir.path}/${stray}`);
  }
});

Deno.test("mxoss list names other tools' files as what they are, in directories and folders of them", async () => {
  using dir = new TemporaryDirectory();
  const lfs = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n";
  dir.write("a/gguf/gpt-oss-20b-Q4_K_M.gguf", "GGUF\u0003");
  dir.write("b/adapter_config.json", {});
  dir.write("c/model.bin", "GPT-OSS v1.0\0");
  dir.write("d/config.json", lfs);
  for (const name of ["config.json", "generation_config.json"]) {
    dir.write(`e/${name}`, Deno.readTextFileSync(`${TINY}/${name}`));
  }
  dir.write("e/model.safetensors", lfs);
  dir.write("f/notes.txt", "nothing");
  dir.write("g/config.json", Deno.readTextFileSync(`${TINY}/config.json`));
  dir.write("g/pytorch_model.bin", "PK\u0003\u0004");
  const models = await list(`${dir.path}/none`, dir.path);
  assertEquals(models.map(({ name, problem }) => [name.replace(`${dir.path}/`, ""), problem]), [
    ["a/gguf", `expected a checkpoint in safetensors, got GGUF files, ${GGUF}`],
    ["b", "expected a checkpoint in safetensors, got an adapter of PEFT (LoRA), which is no whole model"],
    ["c", "expected a checkpoint in safetensors, got a model.bin, as CTranslate2 and gpt-oss's metal/ have"],
    ["d", `config.json: expected JSON, got ${LFS}`],
    ["e", `model.safetensors: expected a safetensors file, got ${LFS}`],
    [
      "g",
      "expected model.safetensors, model.safetensors.index.json or other *.safetensors files, " +
      "got weights of PyTorch, not safetensors",
    ],
  ]);
  const [file] = await list(`${dir.path}/none`, `${dir.path}/a/gguf/gpt-oss-20b-Q4_K_M.gguf`);
  assertEquals(
    file!.problem,
    `a GGUF file, ${GGUF}`,
  );
});

const GGUF = "as llama.cpp and Ollama read (mxoss convert makes a checkpoint of gpt-oss's)";
const MODEL_FILES = ["config.json", "generation_config.json", "model.safetensors"];
const LFS = "a git-LFS pointer, in place of the file itself (git lfs pull fetches it)";

Deno.test("mxoss list says where it looked when there is nothing", async () => {
  using dir = new TemporaryDirectory();
  const { code, stdout, stderr } = await inProcess(["list"], { env: { HOME: dir.path } });
  assertEquals([code, stdout], [0, ""]);
  assertEquals(stderr, `no models in the Hugging Face cache ${dir.path}/.cache/huggingface/hub\n`);
  const homeless = await inProcess(["list"], { env: {} });
  assertMatch(homeless.stderr, /^warning: the Hugging Face cache: expected HOME, [^\n]*\nno models in any place/);
});

Deno.test("what is wrong with the environment is said also when it may not be looked at any more", () => {
  const env = (get: () => never) => replaced([Deno.env, { get }]);
  {
    using _bytes = env(() => {
      throw new Deno.errors.InvalidData("environment variable was not valid unicode");
    });
    lookForHub();
  }
  using _confined = env(() => {
    throw new Deno.errors.NotCapable("env");
  });
  assertThrows(hubCache, InputError, "environment variable HF_HUB_CACHE: expected UTF-8 text, got other bytes");
});

Deno.test("an empty HF_HUB_CACHE is the working directory, as huggingface_hub takes it", async () => {
  const { code, stdout, stderr } = await inProcess(["list"], { env: { HF_HUB_CACHE: "" } });
  assertEquals([code, stdout, stderr], [0, "", "no models in the Hugging Face cache .\n"]);
  const model = await inProcess(["inspect", "--model", "org/name"], { env: { HF_HUB_CACHE: "" } });
  assertMatch(model.stderr, /^error: org\/name: neither a directory nor in the Hugging Face cache \.; to download it/);
});

Deno.test("fits() counts weights, cache and what is left alone", () => {
  const available = { bytes: 1000 + 64 * 2 ** 20, by: "test" };
  assert(fits({ weights: 900, cache: 100, work: 0 }, available));
  assert(!fits({ weights: 900, cache: 100, work: 1 }, available));
});

Deno.test("mxoss list says of a link that leads to itself that it cannot be read, and lists the others", () => {
  using dir = new TemporaryDirectory();
  const link = `${dir.path}/link`;
  Deno.symlinkSync("link", link);
  const [one, ...more] = [link, TINY].flatMap(listDirectory);
  assertEquals([one!.name, one!.problem?.split(" (")[0]], [link, "cannot be read: Too many levels of symbolic links"]);
  assertEquals(more.map(({ path, problem }) => [path, problem]), [[TINY, null]]);

  // So where it lies in the directory that is looked into, beside a checkpoint.
  Deno.mkdirSync(`${dir.path}/own`);
  for (const name of MODEL_FILES) Deno.copyFileSync(`${TINY}/${name}`, `${dir.path}/own/${name}`);
  assertEquals(listDirectory(dir.path).map(({ name, problem }) => [name, problem?.split(" (")[0] ?? null]), [
    [link, "cannot be read: Too many levels of symbolic links"],
    [`${dir.path}/own`, null],
  ]);
});

Deno.test("mxoss list says which directories it cannot look into, and lists the others", async () => {
  using dir = new TemporaryDirectory();
  for (const name of ["a", "b", "c/d", "hub/models--org--shut/snapshots"]) {
    Deno.mkdirSync(`${dir.path}/${name}`, { recursive: true });
  }
  for (const name of MODEL_FILES) Deno.copyFileSync(`${TINY}/${name}`, `${dir.path}/b/${name}`);
  const shut = ["a", "c/d", "hub/models--org--shut/snapshots"].map((name) => `${dir.path}/${name}`);
  for (const path of shut) Deno.chmodSync(path, 0o000);
  const { code, stdout } = await withoutPrivileges(["list", dir.path, `${dir.path}/hub`]);
  for (const path of shut) Deno.chmodSync(path, 0o755);
  assertEquals(code, 0);
  const [, ...rows] = stdout.trimEnd().split("\n").map((line) => line.replaceAll(`${dir.path}/`, ""));
  const denied = "0 B - [^ ].*Permission denied \\(os error 13\\)$";
  const expected = [
    `^a - - ${denied}`,
    "^b hf_mxfp4 w_mxfp4 10.9 MB yes$",
    `^c/d - - ${denied}`,
    `^hub/models--org--shut - - ${denied}`,
  ];
  const twice = [...expected, expected[3]!];
  assertEquals(rows.length, twice.length);
  for (const [i, row] of rows.entries()) assertMatch(row.replaceAll(/ +/g, " "), new RegExp(twice[i]!));
});
