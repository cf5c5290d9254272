import { temporaryName } from "../../src/checkpoint/atomic.ts";
import { COMMANDS } from "../../src/cli/commands.ts";
import { ADDRESSES, GPU_VARIABLES, type Privileges, privileges, VARIABLES } from "../../src/cli/permissions.ts";
import { selfTestsFile } from "../../src/cli/self_tests.ts";
import { InputError } from "../../src/errors.ts";
import { assertEquals, assertMatch, assertRejects } from "../assert.ts";
import { everyNth } from "../soak.ts";
import { TINY } from "./program.ts";

const MAIN = new URL("../../main.ts", import.meta.url).pathname;
const CONFIG = new URL("../../deno.json", import.meta.url).pathname;
/** The privileges of a command line that was parsed. */
async function needed(name: string, args: readonly string[]): Promise<Privileges> {
  return privileges((await COMMANDS.get(name)!.parse(args)).needs);
}

Deno.test("privileges() grants FFI to commands that map weights or reach a GPU", async () => {
  const ffi = async (args: readonly string[]) => (await needed("generate", args)).ffi;
  assertEquals(await ffi(["hi"]), true);
  assertEquals(await ffi(["--weights", "map"]), true);
  assertEquals(await ffi(["--weights", "read"]), false);
  assertEquals(await ffi(["--weights=read"]), false);
  assertEquals(await ffi(["--backend=reference"]), false);
  assertEquals(await ffi(["--", "--weights=read"]), true);
  assertEquals(await ffi(["--backend=hip", "--weights=read"]), true);
  // The value of another option is none of these.
  assertEquals(await ffi(["--system=--weights=read"]), true);
  assertEquals(await ffi(["--prompt-file", "-", "--weights=read"]), false);
  await assertRejects(() => ffi(["--system", "--weights=read"]), InputError);
  assertEquals((await needed("inspect", [])).ffi, false);
  assertEquals((await needed("devices", [])).ffi, true);
  assertEquals(privileges(null), { ffi: false, env: false, write: [], net: [] });
});

Deno.test("privileges() grants FFI to compare where one of its sides needs it", async () => {
  const ffi = async (args: readonly string[]) => (await needed("compare", ["--text", "f", ...args])).ffi;
  assertEquals(await ffi([]), true);
  assertEquals(await ffi(["--backend=reference", "--b", "dtype=f32,backend=emulate"]), true);
  assertEquals(await ffi(["--weights=read", "--a=weights=map"]), true);
  assertEquals(await ffi(["--weights=read", "--a=dtype=f32"]), false);
  assertEquals(await ffi(["--a=backend=reference", "--b=weights=read"]), false);
  assertEquals(await ffi(["--b=weights=read"]), true);
});

Deno.test("privileges() lets a command write under --out only", async () => {
  const write = async (args: readonly string[]) => (await needed("eval", args)).write;
  assertEquals((await needed("chat", [])).write, [Deno.cwd(), temporaryName(Deno.cwd())]);
  assertEquals((await needed("chat", ["--out", "/d"])).write, ["/d", temporaryName("/d")]);
  const f = [`${Deno.cwd()}/f,g`, temporaryName(`${Deno.cwd()}/f,g`)];
  assertEquals(await write(["--out", "f,g"]), f);
  assertEquals(await write(["--out=./x/../f,g", "--json"]), f);
  assertEquals(await write(["--", "--out"]), []);
  for (const refused of [["--output", "f"], ["--out="], ["--out"], ["--", "--out", "f"]]) {
    await assertRejects(() => write(refused), InputError);
  }
});

Deno.test("privileges() lets a GPU's self-tests be kept in a folder of their own", async () => {
  const said: Record<string, string> = { HOME: "/home/me" };
  const at = () => selfTestsFile((name) => said[name]);
  assertEquals(at(), "/home/me/.cache/mxoss-gpu/self-tests.json");
  said["XDG_CACHE_HOME"] = "/cache";
  assertEquals(at(), "/cache/mxoss-gpu/self-tests.json");
  said["MXOSS_SELF_TESTS"] = "always";
  assertEquals([at(), selfTestsFile(() => "not/absolute"), selfTestsFile(() => undefined)], [null, null, null]);
  const selfTests = "/cache/mxoss-gpu/self-tests.json", f = [`${Deno.cwd()}/f`, temporaryName(`${Deno.cwd()}/f`)];
  assertEquals(privileges({ libraries: true, selfTests, out: "f" }).write, [...f, "/cache/mxoss-gpu"]);
  const kept = async (name: string, ...args: string[]) =>
    (await COMMANDS.get(name)!.parse(args)).needs.selfTests ?? null;
  const file = selfTestsFile();
  for (const backend of ["hip", "cuda"]) assertEquals(await kept("generate", "--backend", backend), file);
  assertEquals(await kept("compare", "--text", "f", "--b", "backend=cuda"), file);
  assertEquals([await kept("generate"), await kept("devices"), await kept("eval")], [null, null, null]);
});

let cache: Promise<string> | undefined;

/** Where Deno keeps the packages that this process has. */
function denoDir(): Promise<string> {
  return cache ??= new Deno.Command(Deno.execPath(), { args: ["info", "--json"] }).output()
    .then(({ stdout }) => JSON.parse(new TextDecoder().decode(stdout)).denoDir);
}

/** What is asked of a confined process. */
const PATHS = [
  ...["/", "/tmp", "/tmp/out", "/tmp/out/below", "/tmp/out-not", "/tmp/cache", "/tmp/cache/mxoss-gpu"],
  ...["/tmp/cache/mxoss", "/var"],
];
type Written = { written: string[] };

/** What a process with the given flags may still do once it has confined itself to what a command line needs. */
async function confined(
  flags: readonly string[],
  name: string,
  args: readonly string[],
  hosts: readonly string[] = [],
): Promise<unknown> {
  const script = await Deno.makeTempFile({ suffix: ".ts" });
  const source = (name: string) => JSON.stringify(new URL(`../../src/cli/${name}.ts`, import.meta.url).href);
  await Deno.writeTextFile(
    script,
    `import { COMMANDS } from ${source("commands")};
    import { confine, privileges } from ${source("permissions")};
    confine(privileges((await COMMANDS.get(${JSON.stringify(name)}).parse(${JSON.stringify(args)})).needs));
    const granted = (descriptor) => Deno.permissions.querySync(descriptor).state === "granted";
    console.log(JSON.stringify({
      granted: ["net", "run", "sys", "import", "ffi", "env", "read"].filter((name) => granted({ name })),
      written: ${JSON.stringify(PATHS)}.filter((path) => granted({ name: "write", path })),
      ...(${hosts.length} > 0 ? { hosts: ${
      JSON.stringify(hosts)
    }.filter((host) => granted({ name: "net", host })) } : {}),
    }));`,
  );
  try {
    const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-prompt", "--config", CONFIG, ...flags, script],
      // What other tests of this process set is nothing to it. Deno would fetch all packages anew to XDG_CACHE_HOME.
      env: { NO_COLOR: "1", XDG_CACHE_HOME: "/tmp/cache", MXOSS_SELF_TESTS: "", DENO_DIR: await denoDir() },
    }).output();
    assertEquals(new TextDecoder().decode(stderr), "");
    return JSON.parse(new TextDecoder().decode(stdout));
  } finally {
    await Deno.remove(script);
  }
}

Deno.test("confine() gives up what the command does not need, even of --allow-all", async () => {
  assertEquals(await confined(["--allow-all"], "inspect", []), { granted: ["read"], written: [] });
  assertEquals(await confined(["--allow-all"], "generate", []), { granted: ["ffi", "env", "read"], written: [] });
  assertEquals(await confined(["--allow-all"], "generate", ["--weights=read"]), { granted: ["read"], written: [] });
});

Deno.test("confine() narrows --allow-write=/ to --out", async () => {
  const written = ["/tmp/out", "/tmp/out/below"];
  for (const flag of everyNth(2, ["--allow-write=/", "--allow-write=/tmp", "--allow-write=/tmp/out"])) {
    assertEquals(await confined([flag], "logits", ["--out", "/tmp/out"]), { granted: [], written });
  }
  assertEquals(await confined(["--allow-write=/var"], "logits", ["--out=/tmp/out"]), {
    granted: [],
    written: ["/var"],
  });
});

Deno.test("confine() leaves a directory that holds what else may be written, also that of everything", async () => {
  const flags = ["--allow-write=/", "--allow-env=XDG_CACHE_HOME,MXOSS_SELF_TESTS"];
  const chat = async (...args: string[]) => (await confined(flags, "chat", ["--out", ...args]) as Written).written;
  assertEquals(await chat("/"), PATHS);
  // The folder of self-tests lies below.
  assertEquals(await chat("/tmp", "--backend=cuda"), PATHS.slice(1, 8));
  assertEquals(await chat("/tmp/cache", "--backend=cuda"), PATHS.slice(5, 8));
  assertEquals(await chat("/tmp/out"), PATHS.slice(2, 4));
});

Deno.test("confine() narrows --allow-write=/ to the folder of self-tests with a GPU", async () => {
  const flags = ["--allow-write=/", "--allow-env=XDG_CACHE_HOME,MXOSS_SELF_TESTS"];
  const left = async (...args: string[]) => (await confined(flags, "generate", args) as { written: string[] }).written;
  assertEquals(await left("--backend=cuda"), ["/tmp/cache/mxoss-gpu"]);
  assertEquals(await left("--backend=reference"), []);
});

Deno.test("confine() narrows listening to one address and port", async () => {
  const hosts = ["127.0.0.1:8080", "127.0.0.1:81", "0.0.0.0:8080", "192.0.2.1:443", "[::1]:8080", "[::]:8080"];
  const launched = [`--allow-net=${ADDRESSES.join(",")}`];
  const cases = [
    { flags: launched, name: "serve", args: [], left: ["127.0.0.1:8080"] },
    { flags: launched, name: "serve", args: ["--host", "0.0.0.0"], left: ["0.0.0.0:8080"] },
    { flags: launched, name: "serve", args: ["--host", "::1"], left: ["[::1]:8080"] },
    { flags: launched, name: "generate", args: ["hi"], left: [] },
    { flags: launched, name: "serve", args: ["--host", "::"], left: ["[::]:8080"] },
    { flags: ["--allow-net=127.0.0.1"], name: "serve", args: ["--host", "localhost"], left: ["127.0.0.1:8080"] },
    { flags: ["--allow-net=127.0.0.1:81"], name: "serve", args: [], left: ["127.0.0.1:81"] },
    { flags: ["--allow-net"], name: "generate", args: ["hi"], left: [] },
  ];
  for (const { flags, name, args, left } of everyNth(3, cases)) {
    const found = await confined(flags, name, args, hosts) as { readonly hosts: readonly string[] };
    assertEquals(found.hosts, left, `${flags} ${name} ${args}`);
  }
});

/** One line of the file that Deno writes for DENO_AUDIT_PERMISSIONS. */
interface Asked {
  readonly permission: string;
  readonly value: string | null;
}

/** Runs a command with exactly the given flags; gives the permissions that it asked for. */
async function asked(flags: readonly string[], args: readonly string[]): Promise<Asked[]> {
  const log = await Deno.makeTempFile();
  try {
    const { code, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-prompt", ...flags, MAIN, ...args],
      env: { NO_COLOR: "1", DENO_AUDIT_PERMISSIONS: log },
      stdin: "null",
      stdout: "null",
    }).output();
    assertEquals(code, 0, new TextDecoder().decode(stderr));
    return (await Deno.readTextFile(log)).split("\n").filter((line) => line !== "").map((line) => JSON.parse(line));
  } finally {
    await Deno.remove(log);
  }
}

/**
 * Kinds of permission that were asked for; of write, the paths. Opening a file to read it is in Deno's log as "write",
 * too.
 */
function summary(log: readonly Asked[]): { kinds: string[]; written: string[] } {
  const kinds = new Set(log.map(({ permission }) => permission).filter((kind) => kind !== "write"));
  const readBefore = ({ value }: Asked, i: number) => log[i - 1]?.permission === "read" && log[i - 1]?.value === value;
  const written = log.filter((entry, i) => entry.permission === "write" && !readBefore(entry, i));
  return { kinds: [...kinds].sort(), written: [...new Set(written.map(({ value }) => value!))].sort() };
}

const TO_ANSWER = ["--max-tokens", "2", "Tom has 3 apples."];
const PROBLEMS = new URL("../goldens/word-problems.jsonl", import.meta.url).pathname;
const GGUF = new URL("../goldens/gguf/model-bf16.gguf", import.meta.url).pathname;
const TEXT = new URL("../goldens/eval/two_turns.txt", import.meta.url).pathname;
const COMPARED = ["compare", "--a=scheme=w_mxfp4", "--b=scheme=w_mxfp4_a_mxfp4", "--limit=8", "--text", TEXT];

for (
  const { title, flags, args, kinds } of everyNth(2, [
    { title: "inspect", flags: [], args: ["inspect", "--model", TINY], kinds: ["read"] },
    { title: "generate that reads the weights", flags: [], args: ["--weights", "read", ...TO_ANSWER], kinds: ["read"] },
    { title: "generate without FFI", flags: [], args: TO_ANSWER, kinds: ["read"] },
    { title: "generate with FFI", flags: ["--allow-ffi"], args: TO_ANSWER, kinds: ["ffi", "read"] },
    {
      title: "generate over two ranks",
      flags: ["--allow-ffi"],
      args: ["--tp=2", ...TO_ANSWER],
      kinds: ["ffi", "read"],
    },
    {
      title: "eval",
      flags: ["--allow-ffi"],
      args: ["eval", "gsm8k", "--limit=2", "--max-tokens=4", "--data", PROBLEMS],
      kinds: ["ffi", "read"],
    },
    { title: "compare", flags: ["--allow-ffi"], args: COMPARED, kinds: ["ffi", "read"] },
  ])
) {
  Deno.test(`mxoss ${title} asks for no permission but ${kinds.join(" and ")}`, async () => {
    const log = await asked(["--allow-read", ...flags], args);
    assertEquals(summary(log), { kinds, written: [] });
    // Without a path: reading and writing memory by its address.
    const libraries = log.filter(({ permission, value }) => permission === "ffi" && value !== null);
    assertEquals(libraries.filter(({ value }) => value !== "libc.so.6"), []);
  });
}

Deno.test("mxoss devices asks for the libraries and variables of GPUs only", async () => {
  const log = await asked(["--allow-read", "--allow-ffi", "--allow-env"], ["devices"]);
  assertEquals(summary(log), { kinds: ["env", "ffi", "read"], written: [] });
  const values = (kind: string) =>
    new Set(log.filter(({ permission }) => permission === kind).map(({ value }) => value ?? ""));
  assertEquals([...values("env")].sort(), ["MXOSS_TRACE", ...GPU_VARIABLES].sort());
  for (const library of values("ffi")) assertMatch(library, /^$|libc\.so\.6$|lib(amdhip64|cuda)\.so[.\d]*$/);
});

Deno.test("the tasks of deno.json permit what the program can make use of, and no processes", async () => {
  const { tasks } = JSON.parse(await Deno.readTextFile(new URL("../../deno.json", import.meta.url)));
  const flags = (name: string) => tasks[name].split(" main.ts")[0];
  assertEquals(flags("demo"), "deno run --no-prompt --allow-read --allow-ffi --allow-env=MXOSS_TRACE");
  const env = `--allow-env=${VARIABLES.join(",")}`;
  const net = `'--allow-net=${ADDRESSES.join(",")}'`;
  assertEquals(flags("mxoss"), `deno run --no-prompt --allow-read --allow-ffi --allow-write=/ ${net} ${env}`);
});

Deno.test("mxoss --version and --help ask for no permission but read", async () => {
  assertEquals(summary(await asked(["--allow-read"], ["--version"])), { kinds: ["read"], written: [] });
  assertEquals(summary(await asked(["--allow-read"], ["--help"])), { kinds: [], written: [] });
});

for (
  const { args, out, files } of everyNth(2, [
    { args: ["logits", "--weights=read", "--tokens=1,2"], out: "a, b.safetensors", files: ["a, b.safetensors"] },
    {
      args: ["eval", "--weights=read", "gsm8k", "--limit=2", "--max-tokens=4", "--divergence=0", "--data", PROBLEMS],
      out: "new/a,b",
      files: ["new"],
    },
    { args: [...COMPARED, "--weights=read"], out: "new/a,b", files: ["new"] },
    { args: ["quantize", "--scheme=w_mxfp4_a_mxfp4"], out: "new/a,b", files: ["new"] },
    { args: ["convert", `--gguf=${GGUF}`], out: "new/a,b", files: ["new"] },
  ])
) {
  Deno.test(`mxoss ${args[0]} writes --out and asks to write nothing else`, async () => {
    const dir = await Deno.makeTempDir();
    try {
      const flags = ["--allow-read", "--allow-write=/"];
      const log = await asked(flags, [...args, "--out", `${dir}/${out}`]);
      const { kinds, written } = summary(log);
      assertEquals(kinds, ["read"]);
      assertEquals(written.length > 0, true);
      assertEquals(written.filter((path) => !path.startsWith(`${dir}/${out}`)), []);
      assertEquals([...Deno.readDirSync(dir)].map(({ name }) => name), files);
    } finally {
      await Deno.remove(dir, { recursive: true });
    }
  });
}
