/** The program as a registry serves it: every file by HTTP, names of packages written out. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "../assert.ts";
import { mxoss, TINY } from "../cli/program.ts";
import { buildHipHost } from "../hip_host/build.ts";
import { withoutKernelCompiler } from "../hip_host/kernels.ts";
import { hostLibrary } from "../kernels/host_machine.ts";
import { SOAK, soakedWhere } from "../soak.ts";
import { sha256 } from "../../kernels/manifest.ts";
import { packs } from "../../tools/package/packs.ts";
import { inRepository } from "../../tools/package/files.ts";
import { inDirectory, run } from "./process.ts";

const { imports, exports, version, publish } = JSON.parse(Deno.readTextFileSync(inRepository("deno.json"))) as {
  imports: Record<string, string>;
  exports: Record<string, string>;
  version: string;
  publish: { include: string[]; exclude: string[] };
};
const QUESTION = "Tom has 3 apples. Tom buys 4 more. How many apples does Tom have now?";
const TYPES: Readonly<Record<string, string>> = {
  ts: "text/typescript",
  js: "text/javascript",
  json: "application/json",
  wasm: "application/wasm",
};

/** What is in the package, by path: what deno.json includes, and the modules that are written when it is made. */
function contents(): Map<string, Uint8Array<ArrayBuffer>> {
  const files = new Map<string, Uint8Array<ArrayBuffer>>(), encoder = new TextEncoder();
  const add = (path: string): void => {
    if (publish.exclude.some((left) => path === left || path === left.replace(/\/$/, ""))) return;
    if (Deno.statSync(inRepository(path)).isDirectory) {
      for (const { name } of Deno.readDirSync(inRepository(path))) add(`${path}/${name}`);
      return;
    }
    const bytes = Deno.readFileSync(inRepository(path));
    // The registry writes out the names of packages.
    const text = path.endsWith(".ts")
      ? new TextDecoder().decode(bytes).replaceAll(
        /(from |import\()"([^"]+)"/g,
        (all, before, name) => imports[name] === undefined ? all : `${before}"${imports[name]}"`,
      )
      : null;
    files.set(path, text === null ? bytes : encoder.encode(text));
  };
  for (const path of publish.include.filter((path) => path !== "packs/")) add(path.replace(/\/$/, ""));
  for (const [path, text] of packs()) files.set(path, encoder.encode(text));
  return files;
}

/** The same, made once. */
let made: ReturnType<typeof contents> | undefined;

/** The npm packages that this machine has already, for a new directory of Deno's. */
async function knownPackages(): Promise<string> {
  const { stdout } = await new Deno.Command(Deno.execPath(), { args: ["info", "--json"] }).output();
  return (JSON.parse(new TextDecoder().decode(stdout)) as { npmCache: string }).npmCache;
}

const PACKAGE = "/@mxoss/mxoss";

/** A registry that has the package and nothing else, and what was asked of it. */
class Registry implements AsyncDisposable {
  readonly asked: string[] = [];
  readonly files: ReadonlyMap<string, Uint8Array<ArrayBuffer>> = made ??= contents();
  readonly #server: Deno.HttpServer<Deno.NetAddr>;
  #metadata: Promise<string> | null = null;

  private constructor(readonly dir: string, npm: string) {
    this.#server = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen: () => {} },
      (request) => this.#answer(request),
    );
    Deno.mkdirSync(`${dir}/deno`);
    Deno.symlinkSync(npm, `${dir}/deno/npm`);
  }

  static async start(dir: string): Promise<Registry> {
    return new Registry(dir, await knownPackages());
  }

  get address(): string {
    return `http://127.0.0.1:${this.#server.addr.port}${PACKAGE}/${version}/`;
  }

  async #answer(request: Request): Promise<Response> {
    const path = new URL(request.url).pathname;
    const json = (text: string) => new Response(text, { headers: { "content-type": "application/json" } });
    if (path === `${PACKAGE}/meta.json`) return json(JSON.stringify({ latest: version, versions: { [version]: {} } }));
    if (path === `${PACKAGE}/${version}_meta.json`) return json(await (this.#metadata ??= this.#listed()));
    const name = path.slice(`${PACKAGE}/${version}/`.length), bytes = this.files.get(name);
    this.asked.push(name);
    if (bytes === undefined) return new Response(null, { status: 404 });
    return new Response(bytes, { headers: { "content-type": TYPES[name.split(".").at(-1)!] ?? "text/plain" } });
  }

  /** The list of a version's files, which Deno holds everything against that it fetches. */
  async #listed(): Promise<string> {
    const manifest: Record<string, { size: number; checksum: string }> = {};
    for (const [path, bytes] of this.files) {
      manifest[`/${path}`] = { size: bytes.length, checksum: `sha256-${await sha256(bytes)}` };
    }
    return JSON.stringify({ manifest, exports });
  }

  /** The modules of data that were asked for since the last time. */
  data(): string[] {
    return this.asked.splice(0).filter((path) => path.startsWith("packs/")).sort();
  }

  run(
    args: readonly string[],
    more: Readonly<Record<string, string>> = {},
    permissions = ["--allow-read", "--allow-ffi"],
  ) {
    const { origin, host } = new URL(this.address);
    const env = { ...Deno.env.toObject(), DENO_DIR: `${this.dir}/deno`, NO_COLOR: "1", JSR_URL: origin, ...more };
    const flags = ["--no-lock", "--no-prompt", "--quiet", `--allow-import=${host}`, ...permissions];
    return run([Deno.execPath(), "run", ...flags, `jsr:@mxoss/mxoss@${version}`, ...args], { cwd: this.dir, env });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }
}

const soak = (name: string, body: (registry: Registry) => Promise<void>, there = true) =>
  Deno.test({
    name: `the program that is fetched by HTTP ${name}${soakedWhere(there, "no compiler of kernels")}`,
    ignore: !SOAK || !there,
    fn: () =>
      inDirectory(async (dir) => {
        await using registry = await Registry.start(dir);
        await body(registry);
      }),
  });

const ANSWER = { code: 0, stdout: "#### 7\n", stderr: "" };

soak("answers README's first question with its own model, whatever is permitted", async (registry) => {
  assertEquals(await registry.run(["--version"]), {
    code: 0,
    stdout: `mxoss ${version}\nfetched from ${registry.address}\n`,
    stderr: "",
  });
  // What is not used is not fetched.
  assertEquals(registry.data(), []);
  const own = ["--analysis", "always"], here = await mxoss([...own, QUESTION]);
  assertEquals(await registry.run([...own, QUESTION]), here);
  assertEquals(registry.data(), ["packs/model.json"]);
  // Each rank's thread has its own.
  for (const more of [["--threads", "2"], ["--tp", "2"], ["--scheme", "ptpc_fp8"], ["--backend", "reference"]]) {
    assertEquals(await registry.run([...more, QUESTION]), ANSWER, more.join(" "));
  }
  assertEquals(await registry.run([QUESTION], {}, []), ANSWER);
  assertEquals(registry.data(), []);
});

/** Most bytes of a package, and of a file in it, that the registry takes. */
const MOST_BYTES = 20 * 2 ** 20;

soak("fits the registry", (registry) => {
  const sum = registry.files.values().reduce((sum, { length }) => sum + length, 0);
  assert(sum < 0.95 * MOST_BYTES, `${sum} of ${MOST_BYTES} bytes`);
  return Promise.resolve();
});

soak("computes as that of the checkout", async (registry) => {
  assertEquals(await registry.run(["--model", TINY, QUESTION]), ANSWER);
  assertEquals(registry.data(), []);
  const problems = inRepository("tests/goldens/word-problems.jsonl");
  const evaluated = await registry.run([
    "eval",
    "gsm8k",
    "--data",
    problems,
    "--limit",
    "2",
    "--scheme",
    "bf16,w_mxfp4_a_mxfp4",
  ]);
  assertEquals(evaluated.code, 0, evaluated.stderr);
  assertStringIncludes(evaluated.stdout, "2 problems of word-problems.jsonl");
  const inspected = await registry.run(["inspect", "--json"]), here = await mxoss(["inspect", "--json"]);
  const texts = [[inspected, `${registry.address}models/tiny-gpt-oss`], [here, TINY]] as const;
  const [fetched, own] = texts.map(([{ stdout }, dir]) => stdout.replaceAll(dir, "MODEL"));
  assertEquals(fetched, own);
  assertStringIncludes(own!, "MODEL");
});

const compiled = SOAK && !(await withoutKernelCompiler());
soak("runs on a GPU", async (registry) => {
  const env = { HIP_HOST_KERNELS: await hostLibrary() }, library = ["--hip-library", buildHipHost()];
  const permissions = ["--allow-read", "--allow-ffi", "--allow-env"];
  const devices = await registry.run(["devices", ...library], env, permissions);
  assertMatch(devices.stdout, /kernels: gfx942/);
  assertEquals(registry.data(), ["packs/kernels.json"]);
  const ask = ["--backend", "hip", ...library, "--dtype", "f32", "--max-tokens", "6", "Wen has 14 peaches. How many?"];
  const fetched = await registry.run(ask, env, permissions), here = await mxoss(ask, { env });
  assertEquals([fetched.code, fetched.stdout], [here.code, here.stdout], fetched.stderr);
  assertEquals(registry.data(), ["packs/kernels_hip.json", "packs/model.json"]);
  const verified = await registry.run(
    ["devices", "--verify", "--filter", "rms_norm", "--backend", "hip", ...library],
    env,
    permissions,
  );
  assertMatch(verified.stdout, /^passed: 3 of 3 kernel cases, /m);
}, compiled);
