/**
 * The standalone binary as its users have it: one file in an empty directory, no environment, no network, no Deno and
 * no Node on the PATH. Each kind of binary is built once and must answer as `deno run` does. MXOSS_BINARY=FILE tests
 * that file instead.
 */
import { build, type Variant, VARIANTS } from "../../tools/compile.ts";
import { COMMANDS } from "../../src/cli/commands.ts";
import { revision } from "../../src/cli/version.ts";
import { NET_PERMISSION, PERMISSIONS, WRITE_PERMISSION } from "../../tools/package/launch.ts";
import { localDenort } from "../../tools/package/deno_compile.ts";
import { inRepository } from "../../tools/package/files.ts";
import { LEVEL } from "../../tools/package/self_extracting.ts";
import { dose, SOAK } from "../soak.ts";
import { assertEquals, assertMatch, assertStringIncludes } from "../assert.ts";
import { inProcess } from "../cli/in_process.ts";
import { withoutProgress } from "../cli/program.ts";
import { type Finished, inDirectory, run, whereIs, withUsersPlace, works } from "./process.ts";

const given = Deno.env.get("MXOSS_BINARY");
const denort = await localDenort();
/** What runs a process without a network, where that is permitted. */
const offline = await works(["unshare", "-rn", "true"]) ? [(await whereIs("unshare"))!, "-rn"] : [];

/** The question of `deno task demo`. */
const QUESTION = /'(.+)'/.exec(JSON.parse(await Deno.readTextFile(inRepository("deno.json"))).tasks.demo)![1]!;

const PROBLEMS = inRepository("tests/goldens/word-problems.jsonl");
const TEXT = new URL("../goldens/eval/two_turns.txt", import.meta.url).pathname;
const COMPARED = ["--a=scheme=w_mxfp4", "--b=scheme=w_mxfp4_a_mxfp4", "--limit=8", "--text", TEXT];

/** A file that Deno opens only for who may do anything, as these tests may. */
const PRIVATE = "/proc/self/environ";

/** A machine with nothing on it but the binary, as far as one process can be made to see it. */
interface Bare {
  readonly binary: string;
  /** The embedded model once more, as somebody's checkpoint. */
  readonly checkpoint: string;
  /** An empty directory to be in. */
  readonly empty: string;
  readonly env: Readonly<Record<string, string>>;
}

const commands: ReadonlyMap<string, (bare: Bare) => string[]> = new Map<string, (bare: Bare) => string[]>([
  ["the demo", () => [QUESTION]],
  ["generate on a checkpoint elsewhere", ({ checkpoint }) => ["generate", "--model", checkpoint, QUESTION]],
  ["worker threads", ({ checkpoint }) => ["--model", checkpoint, "--threads=3", "--max-tokens=8", QUESTION]],
  ["ranks on threads", ({ checkpoint }) => ["--model", checkpoint, "--tp=2", "--max-tokens=8", QUESTION]],
  ["mapped weights", ({ checkpoint }) => ["--model", checkpoint, "--weights=map", "--max-tokens=8", QUESTION]],
  ["read weights", ({ checkpoint }) => ["--model", checkpoint, "--weights=read", "--max-tokens=8", QUESTION]],
  ["backend reference", ({ checkpoint }) => ["--model", checkpoint, "--backend=reference", "--max-tokens=2", "Hi"]],
  [
    "eval of 20 problems",
    ({ checkpoint }) => ["eval", "gsm8k", "--model", checkpoint, "--data", PROBLEMS, "--limit=20"],
  ],
  ["compare", ({ checkpoint }) => ["compare", "--model", checkpoint, ...COMPARED]],
  ["devices", () => ["devices"]],
  ["inspect", ({ checkpoint }) => ["inspect", "--model", checkpoint]],
  ["inspect --json", ({ checkpoint }) => ["inspect", "--json", "--tp=2", "--model", checkpoint]],
  ["help", () => ["--help"]],
  ...[...COMMANDS.keys()].map((name) => [`help of ${name}`, () => [name, "--help"]] as [string, () => string[]]),
  ["an option that there is not", () => ["--modle", "x", "hi"]],
  ["a checkpoint that there is not", ({ empty }) => ["--model", `${empty}/none`, "hi"]],
  ["a file that Deno opens for nobody", () => ["--prompt-file", PRIVATE]],
  ["a token id beyond the vocabulary", () => ["logits", "--tokens=99999999", "--out=x.safetensors"]],
]);

/**
 * Commands that are run outside a soak too. Others load the model from elsewhere or map it, print help and tables, or
 * go the ways of these to a model and to an error.
 */
const ALWAYS = /^(?:the demo|ranks on threads|devices|an option that there is not|a file that Deno opens for nobody)$/;

/**
 * `deno run` with the permissions that the binary's launcher gives, on the sources. Outside a soak this thread runs
 * them, with the tests' directory and permissions.
 */
async function fromSources(args: readonly string[], cwd: string): Promise<Finished> {
  if (!SOAK && !args.includes(PRIVATE)) {
    return await inProcess(args, { threads: navigator.hardwareConcurrency });
  }
  const words = [
    Deno.execPath(),
    "run",
    ...PERMISSIONS,
    WRITE_PERMISSION,
    NET_PERMISSION,
    inRepository("main.ts"),
    ...args,
  ];
  const names = ["HOME", "DENO_DIR", "XDG_CACHE_HOME"];
  const env = Object.fromEntries(names.flatMap((name) => Deno.env.has(name) ? [[name, Deno.env.get(name)!]] : []));
  return calm(await run(words, { cwd, env: { ...env, NO_COLOR: "1" } }));
}

async function fromBinary({ binary, empty, env }: Bare, args: readonly string[]): Promise<Finished> {
  const words = [...offline, binary, ...args];
  return calm(await run(words, { cwd: empty, env: { NO_COLOR: "1", ...env } }));
}

const calm = (finished: Finished): Finished => ({ ...finished, stderr: withoutProgress(finished.stderr) });

/** Checks everything on one binary. */
async function check(variant: Variant, t: Deno.TestContext, dir: string, binary: string): Promise<void> {
  const bare: Bare = {
    binary,
    checkpoint: `${dir}/checkpoint`,
    empty: `${dir}/empty`,
    // Neither a program nor a home is to be found; TMPDIR only keeps the test from filling /tmp.
    env: { PATH: "/nowhere", TMPDIR: `${dir}/tmp`, HOME: "/proc" },
  };
  for (const path of [bare.empty, `${dir}/tmp`, bare.checkpoint]) await Deno.mkdir(path);
  for (const { name, isFile } of Deno.readDirSync(inRepository("models/tiny-gpt-oss"))) {
    if (isFile) await Deno.copyFile(inRepository(`models/tiny-gpt-oss/${name}`), `${bare.checkpoint}/${name}`);
  }
  // Somebody else's projects above the places that the program is in and started from.
  for (const name of ["deno.json", "package.json"]) await Deno.writeTextFile(`${dir}/${name}`, "{ broken");
  const step = (name: string, fn: () => Promise<void>) => t.step(name, fn);

  // race_test.ts starts others at once.
  await step(`first starts: ${dose("one", "two at once")}`, async () => {
    const both = await Promise.all(Array.from({ length: dose(1, 2) }, () => fromBinary(bare, ["--version"])));
    for (const { code, stdout, stderr } of both) {
      assertEquals({ code, stderr }, { code: 0, stderr: "" });
      assertEquals(stdout, both[0]!.stdout);
    }
    if (variant !== "self-extracting") return;
    const [place, ...more] = [...Deno.readDirSync(`${dir}/tmp`)].map(({ name }) => name);
    assertEquals(more, []);
    assertEquals([...Deno.readDirSync(`${dir}/tmp/${place}`)].length, 1);
  });

  await step("--version names version, revision and hashes", async () => {
    const { stdout } = await fromBinary(bare, ["--version"]);
    const sources = (await fromSources(["--version"], bare.empty)).stdout.split("\n");
    const lines = stdout.split("\n");
    assertEquals(lines.toSpliced(1, 1), sources.toSpliced(1, 1));
    if (given === undefined) assertEquals(lines[1]!.replace(/-dirty$/, ""), `revision: ${revision()}`);
    else assertMatch(lines[1]!, /^revision: [0-9a-f]{40}/);
  });

  // stub_test.ts and places_test.ts do so with less to unpack.
  if (SOAK) {
    await step("without any variable at all", async () => {
      await withUsersPlace(async () => {
        const { code, stdout } = await run([binary, "--help"], { cwd: bare.empty });
        assertEquals(code, 0);
        assertStringIncludes(stdout, "usage: mxoss");
        await forgetOnly(`/tmp/mxoss-${Deno.uid()}`, `${dir}/tmp`);
      });
    });
  }

  for (const [name, args] of commands) {
    if (!SOAK && !ALWAYS.test(name)) continue;
    const right = name === "the demo" ? ", rightly" : "";
    await step(`${name}: stdout, stderr and exit code of deno run${right}`, async () => {
      const words = args(bare);
      const answered = await fromBinary(bare, words);
      assertEquals(answered, await fromSources(words, bare.empty));
      if (name === "the demo") assertMatch(answered.stdout, /^#### 36$/m);
      assertEquals([...Deno.readDirSync(bare.empty)], []);
    });
  }

  await step("logits writes the same file, and nothing else", async () => {
    const args = ["logits", "--model", bare.checkpoint, "--tokens=1,2,3,4", "--out"];
    assertEquals(await fromBinary(bare, [...args, "a, b.safetensors"]), await fromSources([...args, `${dir}/c`], dir));
    assertEquals([...Deno.readDirSync(bare.empty)].map(({ name }) => name), ["a, b.safetensors"]);
    assertEquals(await Deno.readFile(`${bare.empty}/a, b.safetensors`), await Deno.readFile(`${dir}/c`));
    await Deno.remove(`${bare.empty}/a, b.safetensors`);
  });

  if (SOAK) {
    await step("compare writes the same report", async () => {
      const args = ["compare", "--model", bare.checkpoint, ...COMPARED, "--out"];
      const there = await fromSources([...args, `${dir}/report`], dir);
      assertEquals(await fromBinary(bare, [...args, "report"]), {
        ...there,
        // Where the report lies is said.
        stderr: there.stderr.replaceAll(`${dir}/report`, "report"),
      });
      for (const file of ["results.json", "report.html"]) {
        const [ours, theirs] = [`${bare.empty}/report/${file}`, `${dir}/report/${file}`].map((path) =>
          Deno.readTextFileSync(path)
        );
        assertEquals(ours, theirs);
      }
      await Deno.remove(`${bare.empty}/report`, { recursive: true });
    });
  }

  await step("an error exits with 2 and one line", async () => {
    const { code, stdout, stderr } = await fromBinary(bare, ["--model", `${bare.empty}/none`, "hi"]);
    assertEquals([code, stdout], [2, ""]);
    assertMatch(stderr, /^error: [^\n]+\n$/);
  });

  await step("a denied permission is said without Deno's flags", async () => {
    // Allowed by the command line, and then not by the system's own rules for special files.
    const { code, stdout, stderr } = await fromBinary(bare, ["logits", "--tokens=1", "--out=/proc/self/x"]);
    assertEquals([code, stdout], [2, ""]);
    assertMatch(stderr, /^error: "\/proc\/self\/x": the program is not permitted to [^\n]+\n$/);
  });
}

/** Removes from a place what a test with the place `like` has put there, and the place if nothing else is in it. */
async function forgetOnly(place: string, like: string): Promise<void> {
  for (const { name } of Deno.readDirSync(like)) {
    for (const { name: version } of Deno.readDirSync(`${like}/${name}`)) {
      await Deno.remove(`${place}/${version}`, { recursive: true }).catch(() => {});
    }
  }
  await Deno.remove(place).catch(() => {});
}

/** Which kind a binary is, by how it begins. */
function variantOf(binary: string): Variant {
  using file = Deno.openSync(binary);
  const start = new Uint8Array(2);
  file.readSync(start);
  return new TextDecoder().decode(start) === "#!" ? "self-extracting" : "deno-compile";
}

for (const variant of VARIANTS) {
  const reason = given === undefined && !SOAK
    ? "only in a soak"
    : given !== undefined && variantOf(given) !== variant
    ? "MXOSS_BINARY is of the other kind"
    : given === undefined && variant === "deno-compile" && denort === null
    ? "denort is neither in DENORT_BIN nor in Deno's cache"
    : null;
  const network = offline.length > 0 ? "" : ", with the network there: unshare is not permitted";
  Deno.test({
    name: `the standalone binary (${variant})${reason === null ? network : `: skipped, ${reason}`}`,
    ignore: reason !== null,
    fn: (t) =>
      inDirectory(async (dir) => {
        const binary = given ?? `${dir}/mxoss`;
        if (given === undefined) await build(variant, binary, { level: dose(1, LEVEL) });
        await t.step("has its SHA-256 beside it", async () => {
          const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", await Deno.readFile(binary))).toHex();
          assertEquals(await Deno.readTextFile(`${binary}.sha256`), `${hash}  ${binary.split("/").at(-1)}\n`);
        });
        await check(variant, t, dir, binary);
      }),
  });
}
