/**
 * The package for npm, installed as a user would: `npm pack`, `npx`, and without a network from then on. Needs npm and
 * its registry.
 */
import { NET_PERMISSION, PERMISSIONS, WRITE_PERMISSION } from "../../tools/package/launch.ts";
import { npmPackage } from "../../tools/package/npm_package.ts";
import { writePackage } from "../../tools/npm.ts";
import { inRepository } from "../../tools/package/files.ts";
import { assert, assertEquals, assertMatch, assertRejects, assertStringIncludes } from "../assert.ts";
import { writeExecutable } from "../executable.ts";
import { SOAK } from "../soak.ts";
import { command, inDirectory, run, surroundings, whereIs, works } from "./process.ts";

const HAS_NPM = SOAK && await works(["npm", "--version"]);
const IGNORE = { ignore: !HAS_NPM };
const WHY = HAS_NPM ? "" : SOAK ? " (skipped: no npm)" : " (skipped: a soak)";
const QUESTION = "Tom has 3 apples. Tom buys 4 more. How many apples does Tom have now?";

Deno.test({
  name: `npm pack gives a package that answers by npx, and then without a network${WHY}`,
  ...IGNORE,
  fn: () =>
    inDirectory(async (dir) => {
      const env = { ...surroundings(), HOME: `${dir}/home`, NO_COLOR: "1", npm_config_update_notifier: "false" };
      Deno.mkdirSync(env.HOME);
      await writePackage(`${dir}/package`);
      const packed = await run(["npm", "pack", "--json", `${dir}/package`], { cwd: dir, env });
      assertEquals(packed.code, 0, packed.stderr);
      const file = [...Deno.readDirSync(dir)].map(({ name }) => name).find((name) => name.endsWith(".tgz"))!;
      assertMatch(file, /^mxoss-\d+\.\d+\.\d+\.tgz$/);
      const megabytes = Deno.statSync(`${dir}/${file}`).size / 1e6;
      const said = Number(/: (\d+) MB, unpacked/.exec(Deno.readTextFileSync(inRepository("docs/install.md")))![1]);
      assert(Math.abs(megabytes - said) < 2, `docs/install.md says ${said} MB, it is ${megabytes}`);

      const npx = (...args: readonly string[]) => run(["npx", "--yes", `./${file}`, ...args], { cwd: dir, env });
      const first = await npx(QUESTION);
      assertEquals([first.code, first.stdout], [0, "#### 7\n"], first.stderr);
      // What npx has installed is there; whoever takes the network away sees that nothing asks for it.
      const bin = await run(["sh", "-c", "ls -d $HOME/.npm/_npx/*/node_modules/.bin/mxoss"], { env });
      const offline = await whereIs("unshare") !== null && await works(["unshare", "--net", "true"])
        ? ["unshare", "--net"]
        : [];
      const mxoss = (...args: readonly string[]) => run([...offline, bin.stdout.trim(), ...args], { cwd: dir, env });
      assertEquals(await mxoss(QUESTION), { code: 0, stdout: "#### 7\n", stderr: "" });
      const refused = await mxoss("--tempratur", "1", QUESTION);
      assertEquals(refused.code, 2);
      assertStringIncludes(refused.stderr, "error: --tempratur");
      const problems = inRepository("tests/goldens/word-problems.jsonl");
      const evaluated = await mxoss("eval", "gsm8k", "--data", problems, "--limit", "2", "--out", "results");
      assertEquals(evaluated.code, 0, evaluated.stderr);
      assert(Deno.statSync(`${dir}/results/report.html`).isFile);
      assertMatch((await mxoss("devices")).stdout, /^emulate: WebAssembly SIMD/);
      assertEquals((await mxoss("quantize", "--scheme", "w_mxfp6_e2m3", "--out", "made")).code, 0);
      assertEquals((await mxoss("inspect", "--model", "made")).code, 0);
    }),
});

/** Calls with the script beside a stand-in for Deno, which says what it was started with and waits if told. */
function withLauncher(use: (words: readonly string[]) => Promise<void>): Promise<void> {
  return inDirectory(async (dir) => {
    const standIn = `trap 'exit 130' INT\ntrap 'exit 9' HUP\nprintf '%s\\n' "$@"\n` +
      'for word do [ "$word" != wait ] || while :; do sleep 0.05; done; done\nexit 7\n';
    writeExecutable(`${dir}/stand-in`, `#!/bin/sh\n${standIn}`);
    Deno.mkdirSync(`${dir}/node_modules/deno`, { recursive: true });
    const api = `exports.runInstall = () => ${JSON.stringify(`${dir}/stand-in`)};`;
    Deno.writeTextFileSync(`${dir}/node_modules/deno/install_api.cjs`, api);
    Deno.writeFileSync(`${dir}/bin.cjs`, npmPackage([]).find(({ path }) => path === "bin.cjs")!.bytes);
    await use([(await whereIs("node"))!, `${dir}/bin.cjs`]);
  });
}

Deno.test({
  name: `the script of the npm package passes arguments, permissions and the exit code on${WHY}`,
  ...IGNORE,
  fn: () =>
    withLauncher(async (words) => {
      let env: Readonly<Record<string, string>> = {};
      const flags = async (...args: readonly string[]) => {
        const { stdout, code } = await run([...words, ...args], { env }), lines = stdout.trimEnd().split("\n");
        assertEquals(code, 7);
        const main = lines.findIndex((line) => line.endsWith("/main.js"));
        assertEquals(lines.slice(main + 1), args);
        assertEquals(lines.slice(0, main).slice(0, 3), ["run", "--quiet", "--cached-only"]);
        return lines.slice(3, main).filter((line) => line.startsWith("--allow") || line === "--no-prompt");
      };
      assertEquals(await flags("a b", "$HOME", "", "--", "--out"), PERMISSIONS);
      assertEquals(await flags("eval", "--out=x y"), [...PERMISSIONS, WRITE_PERMISSION]);
      assertEquals(await flags("chat"), [...PERMISSIONS, WRITE_PERMISSION]);
      assertEquals(await flags("--backend", "cuda", "hi"), [...PERMISSIONS, WRITE_PERMISSION]);
      assertEquals(await flags("--backend=hip", "hi"), [...PERMISSIONS, WRITE_PERMISSION]);
      assertEquals(await flags("serve", "--out", "x"), [...PERMISSIONS, WRITE_PERMISSION, NET_PERMISSION]);
      // Processes of a run meet, also at an IPv6 address.
      env = { PMI_SIZE: "2", MASTER_ADDR: "10.1.2.3" };
      assertEquals(await flags("hi"), [...PERMISSIONS, NET_PERMISSION]);
      env = { WORLD_SIZE: "2", MASTER_ADDR: "[fd00::2]" };
      assertEquals(await flags("hi"), [...PERMISSIONS, `${NET_PERMISSION},[fd00::2]`]);
    }),
});

Deno.test({
  name: `the script of the npm package passes signals on, and ends as the program does${WHY}`,
  ...IGNORE,
  fn: () =>
    withLauncher(async (words) => {
      for (const [signal, ending] of [["SIGINT", 130], ["SIGHUP", 9], ["SIGTERM", "SIGTERM"]] as const) {
        const child = command([...words, "wait"], { env: surroundings() }).spawn(), reader = child.stdout.getReader();
        for (let text = ""; !text.includes("wait");) text += new TextDecoder().decode((await reader.read()).value);
        child.kill(signal);
        const { code, signal: by } = await child.status;
        await reader.cancel();
        await child.stderr.cancel();
        assertEquals(by ?? code, ending);
      }
    }),
});

Deno.test("writePackage() removes nothing that is no package of mxoss", () =>
  inDirectory(async (dir) => {
    Deno.writeTextFileSync(`${dir}/precious`, "precious");
    await assertRejects(() => writePackage(dir), Error, "expected nothing, or a package of mxoss");
    Deno.writeTextFileSync(`${dir}/package.json`, '{ "name": "another" }');
    await assertRejects(() => writePackage(dir), Error, "expected nothing, or a package of mxoss");
    assertEquals(Deno.readTextFileSync(`${dir}/precious`), "precious");
  }));
