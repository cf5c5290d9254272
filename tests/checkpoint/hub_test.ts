/** Models by name, held against what huggingface_hub itself finds: tests/goldens/hub/make.py. */
import { hubFolder } from "../../src/checkpoint/hub/environment.ts";
import { findModel, namesRepository } from "../../src/checkpoint/hub/find.ts";
import { repositoryName, snapshotName, snapshotOf } from "../../src/checkpoint/hub/repository.ts";
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { fileIn } from "../../src/checkpoint/files.ts";
import { InputError } from "../../src/errors.ts";
import { modelNames } from "../../src/eval/matrix.ts";
import { assert, assertEquals, assertMatch, assertThrows } from "../assert.ts";
import { SOAK } from "../soak.ts";
import { Cache, type Entry } from "./hub_tree.ts";

interface Golden {
  readonly huggingface_hub: string;
  readonly tree: Readonly<Record<string, Entry>>;
  readonly found: Readonly<Record<string, string | null>>;
  readonly folders: readonly (readonly [environment: Readonly<Record<string, string>>, folder: string])[];
}

const HERE = new URL("../goldens/hub/", import.meta.url);
const GOLDEN: Golden = JSON.parse(Deno.readTextFileSync(new URL("trees.json", HERE)));

/** What is found, below the cache; null where nothing is. */
function found(cache: string, query: string): string | null {
  try {
    return findModel(query, () => cache).replace(`${cache}/`, "");
  } catch (thrown) {
    if (!(thrown instanceof InputError)) throw thrown;
    assertEquals([thrown.exitCode, thrown.code], [2, "missing"]);
    return null;
  }
}

Deno.test("hubFolder() is the folder that huggingface_hub takes for its cache", () => {
  for (const [environment, folder] of GOLDEN.folders) {
    assertEquals(hubFolder((name) => environment[name]), folder, JSON.stringify(environment));
  }
});

Deno.test("hubFolder() asks for no variable that has no say", () => {
  const asked = (environment: Readonly<Record<string, string>>) => {
    const names: string[] = [];
    hubFolder((name) => (names.push(name), environment[name]));
    return names;
  };
  assertEquals(asked({ HF_HUB_CACHE: "/hub" }), ["HF_HUB_CACHE"]);
  assertEquals(asked({ HF_HOME: "/hf" }), ["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME"]);
  assertThrows(() => hubFolder(() => undefined), InputError, "the Hugging Face cache: expected HOME");
  const narrow = (name: string) => {
    if (name === "SCRATCH") throw new Deno.errors.NotCapable("no");
    return name === "HF_HOME" ? "$SCRATCH/hf" : undefined;
  };
  assertThrows(() => hubFolder(narrow), InputError, "$SCRATCH/hf names $SCRATCH, which the program may not look at");
  assertThrows(() => hubFolder((name) => name === "HF_HOME" ? "~bob/hf" : undefined), InputError, "got ~bob/hf");
});

Deno.test("findModel() finds in a cache that huggingface_hub made what it finds itself", () => {
  using cache = new Cache();
  cache.make(GOLDEN.tree);
  for (const [query, snapshot] of Object.entries(GOLDEN.found)) assertEquals(found(cache.path, query), snapshot, query);
  const shared = `${cache.path}/${GOLDEN.found["org/tagged@v1.0"]}`;
  assertEquals(fileIn(shared, "model.safetensors"), `${shared}/model.safetensors`);
});

const PYTHON = Deno.env.get("MXOSS_PYTHON") ?? "python3";

function hasHub(): boolean {
  try {
    const code = `import huggingface_hub as h; assert h.__version__.split(".")[0] == "2"`;
    return SOAK && new Deno.Command(PYTHON, { args: ["-c", code], stderr: "null" }).outputSync().success;
  } catch {
    return false;
  }
}

const live = hasHub();

Deno.test({
  name: `findModel() and hubFolder() agree with huggingface_hub on odd queries${
    live ? "" : ` (skipped: ${SOAK ? `${PYTHON} has no huggingface_hub 2` : "MXOSS_SOAK is not set"})`
  }`,
  ignore: !live,
  fn: async () => {
    using cache = new Cache();
    cache.make(GOLDEN.tree);
    const queries = [
      "",
      "@v1.0",
      "@1111111111111111111111111111111111111111 ",
      "@MAIN",
      "@refs/pr",
      "@refs/pr/3/",
      "@x",
    ]
      .flatMap((revision) =>
        ["org/gpt", "org/tagged", "org/lost", "gpt", "Org/gpt"].map((name) => `${name}${revision}`)
      );
    const environments = [
      { HOME: "/h", HF_HOME: "/a$HOME/$HF_HOME" },
      { HOME: "/h", HF_HOME: "$$HOME/${}/x" },
      { HOME: "/h", HF_HUB_CACHE: "a~/b" },
      { HOME: "//", HF_HUB_CACHE: "~//b" },
      { HOME: "/h", XDG_CACHE_HOME: "/x/$HOME_/y" },
    ];
    const child = new Deno.Command(PYTHON, {
      args: [new URL("make.py", HERE).pathname, "queries"],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    const writer = child.stdin.getWriter();
    await writer.write(new TextEncoder().encode(JSON.stringify({ cache: cache.path, environments, queries })));
    await writer.close();
    const { success, stdout } = await child.output();
    assert(success);
    const theirs = JSON.parse(new TextDecoder().decode(stdout));
    assertEquals(
      environments.map((environment: Readonly<Record<string, string>>) => hubFolder((name) => environment[name])),
      theirs.folders,
    );
    for (const [i, query] of queries.entries()) {
      // What has no form of a name is a path, and there is none.
      const ours = found(cache.path, query);
      assertEquals(ours === query ? null : ours, theirs.found[i], query);
    }
  },
});

Deno.test("findModel() takes a path that is there before a name, and a repository's folder for its snapshot", () => {
  using cache = new Cache();
  const snapshot = cache.model("org/tiny"), folder = `${cache.path}/models--org--tiny`;
  cache.model("org/tiny", { commit: "b".repeat(40), ref: "v2" });
  const never = () => {
    throw new Error("the cache was asked for");
  };
  for (const path of ["src/cli", "deno.json", "./src", snapshot, "a/b/c", "/nowhere", "~/x", "../x"]) {
    assertEquals(findModel(path, never), path);
  }
  assertEquals(findModel(folder, never), snapshot);
  assertEquals(findModel(`${folder}/@v2`, never), `${folder}/snapshots/${"b".repeat(40)}`);
  assertEquals(findModel("org/tiny", () => `${cache.path}/`), snapshot);
  // A word alone is tried, and is a path where there is none.
  assertEquals(findModel("tiny", () => cache.path), "tiny");
  assertEquals([namesRepository("src/cli"), namesRepository("org/tiny"), namesRepository(folder)], [
    false,
    true,
    false,
  ]);
});

Deno.test("findModel() says in one line where it looked and what downloads a model", () => {
  using cache = new Cache();
  cache.make(GOLDEN.tree);
  const line = (query: string) =>
    assertThrows(() => findModel(query, () => cache.path), InputError).message.replaceAll(cache.path, "HUB");
  assertEquals(
    line("openai/gpt-oss-20b"),
    "openai/gpt-oss-20b: neither a directory nor in the Hugging Face cache HUB; to download it: " +
      "hf download openai/gpt-oss-20b",
  );
  assertEquals(
    line("org/gpt@v2"),
    "HUB/models--org--gpt: no revision v2 (there are: feature/x, main, refs/pr/3, v1.0); to download it: " +
      "hf download org/gpt --revision v2",
  );
  assertEquals(
    line("org/lost"),
    `HUB/models--org--lost: revision main is ${"9".repeat(40)}, whose snapshot is not there; to download it: ` +
      "hf download org/lost",
  );
  assertMatch(
    assertThrows(() => findModel("org/x", () => null), InputError).message,
    /^org\/x: no such directory, and the variables [^\n]* may not be read; to download it: hf download org\/x$/,
  );
});

Deno.test("findModel() follows no ref out of the cache", () => {
  using cache = new Cache();
  cache.model("org/tiny");
  for (const commit of ["..", "../..", "../../models--org--tiny", "", "\u001b[2J", "x".repeat(300)]) {
    cache.write("models--org--tiny/refs/odd", commit);
    assertEquals(line(() => findModel("org/tiny@odd", () => cache.path)).includes("\u001b"), false);
  }
  for (
    const name of ["org/tiny@../main", "org/tiny@/etc", "org/tiny@refs/../main", "org/../tiny", "org--tiny", "a/b.git"]
  ) {
    assertEquals(repositoryName(name), null, name);
  }
  function line(run: () => unknown): string {
    return assertThrows(run, InputError).message;
  }
});

Deno.test("openCheckpoint() says of a snapshot what it lacks and what completes it", () => {
  using cache = new Cache();
  const line = (dir: string) => assertThrows(() => openCheckpoint(dir), InputError).message.replaceAll(`${dir}/`, "");
  const rest = (command: string) => `; the snapshot is incomplete, complete it by: ${command}`;
  const commit = "b".repeat(40), other = `hf download org/tiny --revision ${commit}`;
  assertEquals(
    line(cache.model("org/tiny", { left: ["config.json"] })),
    `config.json: no such file; a checkpoint directory has one${rest("hf download org/tiny")}`,
  );
  const old = cache.model("org/tiny", { commit, ref: "v1", left: ["model.safetensors"] });
  assertMatch(line(old), /expected model\.safetensors, .*, got none of them; the snapshot is incomplete/);
  assert(line(old).endsWith(other), line(old));
  const weight_map = { "lm_head.weight": "model-00001-of-00002.safetensors" };
  cache.write(`models--org--tiny/snapshots/${commit}/model.safetensors.index.json`, { weight_map });
  assertEquals(
    line(old),
    `model.safetensors.index.json: expected shard model-00001-of-00002.safetensors beside it, got no such file${
      rest(other)
    }`,
  );
  const dangling = cache.model("org/cut"), etag = Deno.readLinkSync(`${dangling}/model.safetensors`);
  Deno.removeSync(`${dangling}/${etag}`);
  assertEquals(
    line(dangling),
    `model.safetensors: expected its link ${etag} to lead to a file, got none${rest("hf download org/cut")}`,
  );
  // Elsewhere nobody knows what would complete a directory.
  assertMatch(assertThrows(() => openCheckpoint("src"), InputError).message, /checkpoint directory has one$/);
});

Deno.test("openCheckpoint() reads original/ where nothing else was downloaded but a tokenizer and a config", () => {
  using cache = new Cache();
  const left = ["config.json", "model.safetensors", "tokenizer.json", "report.json"];
  const dir = cache.model("org/all", { below: "original/" });
  assertEquals(openCheckpoint(dir).files.config, `${dir}/original/config.json`);
  cache.model("org/all", { left: left.slice(1) });
  assertEquals(openCheckpoint(dir).files.config, `${dir}/original/config.json`);
  cache.model("org/all", { commit: "c".repeat(40) });
  const both = cache.model("org/all", { commit: "c".repeat(40), below: "original/" });
  assertEquals(openCheckpoint(both).files.config, `${both}/config.json`);
});

Deno.test("a snapshot is known by its path, and named by its repository", () => {
  using cache = new Cache();
  const dir = cache.model("org/tiny"), commit = "a".repeat(40);
  assertEquals(snapshotName(dir), `org/tiny@${commit}`);
  Deno.symlinkSync(dir, `${cache.path}/mine`);
  assertEquals(snapshotName(`${cache.path}/mine`), `org/tiny@${commit}`);
  assertEquals([snapshotName("models/tiny-gpt-oss"), snapshotOf("/a/snapshots/b")], [null, null]);
  const directories = [`/hub/models--openai--gpt-oss-20b/snapshots/${commit}/`, "/other/gpt-oss-20b", "/x"];
  assertEquals(modelNames(directories), ["gpt-oss-20b", "gpt-oss-20b-2", "x"]);
});

Deno.test("a blob that leads out of the cache is refused", () => {
  using cache = new Cache();
  cache.make(GOLDEN.tree);
  cache.write("models--org--odd/blobs/x", "");
  const snapshot = `${cache.path}/models--org--odd/snapshots/x`, etag = "c".repeat(64);
  cache.make({ "models--org--odd/snapshots/x/config.json": { link: `../../blobs/${etag}` } });
  const shared = "../../blobs/ab/ab00000000000000000000000000000000000000000000000000000000000000";
  for (
    const [target, accepted] of [
      [shared, true],
      ["../../../../etc/hostname", false],
      ["/etc/hostname", false],
      [shared.replace("ab/", "../ab/"), false],
      [`${shared}x`, false],
      ["../../models--org--gpt/blobs/b71b1ccd1e3a3d5bcfd8ead11efc52e71014f5dac92f6aa5443a3f788a91b8f7", false],
    ] as const
  ) {
    const blob = `models--org--odd/blobs/${etag}`;
    cache.make({ [blob]: { link: target } });
    if (accepted) assertEquals(fileIn(snapshot, "config.json"), `${snapshot}/config.json`);
    else assertThrows(() => fileIn(snapshot, "config.json"), InputError, "to lead to a file, got none");
    Deno.removeSync(`${cache.path}/${blob}`);
  }
});
