/** The program as a registry serves it: every file by HTTP, names of packages written out. */
import { assertEquals, assertMatch, assertStringIncludes } from "../assert.ts";
import { TINY } from "../cli/program.ts";
import { SOAK } from "../soak.ts";
import { inRepository } from "../../tools/package/files.ts";
import { inDirectory, run } from "./process.ts";

const { imports, version } = JSON.parse(Deno.readTextFileSync(inRepository("deno.json"))) as {
  imports: Record<string, string>;
  version: string;
};
const QUESTION = "Tom has 3 apples. Tom buys 4 more. How many apples does Tom have now?";
const TYPES: Readonly<Record<string, string>> = {
  ts: "text/typescript",
  js: "text/javascript",
  json: "application/json",
  wasm: "application/wasm",
};

/** A file as a registry would send it. */
function response(request: Request): Response {
  const path = inRepository(decodeURIComponent(new URL(request.url).pathname.slice(1)));
  const type = TYPES[path.split(".").at(-1)!];
  try {
    // Nothing else is in the package.
    if (type === undefined) return new Response(null, { status: 404 });
    const bytes = Deno.readFileSync(path), headers = { "content-type": type };
    if (!path.endsWith(".ts")) return new Response(bytes, { headers });
    const text = new TextDecoder().decode(bytes).replaceAll(
      /(from |import\()"([^"]+)"/g,
      (all, before, name) => imports[name] === undefined ? all : `${before}"${imports[name]}"`,
    );
    return new Response(text, { headers });
  } catch {
    return new Response(null, { status: 404 });
  }
}

/** The npm packages that this machine has already, for a new directory of Deno's. */
async function knownPackages(): Promise<string> {
  const { stdout } = await new Deno.Command(Deno.execPath(), { args: ["info", "--json"] }).output();
  return (JSON.parse(new TextDecoder().decode(stdout)) as { npmCache: string }).npmCache;
}

Deno.test({
  name: `the program that is fetched by HTTP computes as that of the checkout${SOAK ? "" : " (skipped: a soak)"}`,
  ignore: !SOAK,
  fn: () =>
    inDirectory(async (dir) => {
      const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, response);
      await using _server = server;
      const host = `127.0.0.1:${server.addr.port}`;
      Deno.mkdirSync(`${dir}/deno`);
      Deno.symlinkSync(await knownPackages(), `${dir}/deno/npm`);
      const env = { ...Deno.env.toObject(), DENO_DIR: `${dir}/deno`, NO_COLOR: "1" };
      const flags = ["--no-lock", "--no-prompt", "--quiet", `--allow-import=${host}`, "--allow-read", "--allow-ffi"];
      const mxoss = (...args: readonly string[]) =>
        run([Deno.execPath(), "run", ...flags, `http://${host}/main.ts`, ...args], { cwd: dir, env });

      const answer = { code: 0, stdout: "#### 7\n", stderr: "" };
      assertEquals(await mxoss("--model", TINY, QUESTION), answer);
      assertEquals(await mxoss("--model", TINY, "--threads", "2", QUESTION), answer);
      assertEquals(await mxoss("--model", TINY, "--tp", "2", QUESTION), answer);
      assertEquals((await mxoss("--version")).stdout, `mxoss ${version}\nfetched from http://${host}/\n`);
      const none = await mxoss(QUESTION);
      assertEquals(none.code, 2);
      assertMatch(none.stderr, /^error: --model: expected a directory or a name, got none.*\n$/);
      const problems = inRepository("tests/goldens/word-problems.jsonl");
      const evaluated = await mxoss("eval", "gsm8k", "--model", TINY, "--data", problems, "--limit", "2");
      assertEquals(evaluated.code, 0, evaluated.stderr);
      assertStringIncludes(evaluated.stdout, "2 problems of word-problems.jsonl");
    }),
});
