/** `deno task install` from a checkout, into an empty home. Needs the npm registry, for the packages of deno.json. */
import { assertEquals, assertMatch } from "../assert.ts";
import { SOAK } from "../soak.ts";
import { hasDeno } from "../../tools/install.ts";
import { inRepository } from "../../tools/package/files.ts";
import { inDirectory, run, surroundings } from "./process.ts";

/** Where a file of a name is a `deno` that a command finds: cmd.exe, which runs the command there, runs no .ps1. */
const FOUND_ON: Readonly<Record<string, readonly string[]>> = {
  "deno": ["linux"],
  "deno.exe": ["windows"],
  "deno.cmd": ["windows"],
};
const QUESTION = "Tom has 3 apples. Tom buys 4 more. How many apples does Tom have now?";

Deno.test({
  name: `deno task install puts a command into the home that runs the checkout${SOAK ? "" : " (skipped: a soak)"}`,
  ignore: !SOAK,
  fn: () =>
    inDirectory(async (dir) => {
      const env = { ...surroundings(), HOME: `${dir}/home`, NO_COLOR: "1" };
      Deno.mkdirSync(env.HOME);
      // Its script looks for Deno where the user has it.
      const PATH = `${dir}/bin:${Deno.env.get("PATH")}`;
      Deno.mkdirSync(`${dir}/bin`);
      Deno.symlinkSync(Deno.execPath(), `${dir}/bin/deno`);
      const installed = await run([Deno.execPath(), "task", "install"], {
        cwd: inRepository("."),
        env: { ...env, PATH },
      });
      assertEquals(installed.code, 0, installed.stderr);
      const mxoss = (...args: readonly string[]) =>
        run([`${env.HOME}/.deno/bin/mxoss`, ...args], { cwd: dir, env: { ...env, PATH } });
      // Nothing but the lock's packages will do, now and later.
      const folder = `${env.HOME}/.deno/bin/.mxoss`, lock = Deno.readTextFileSync(`${folder}/deno.lock`);
      assertEquals(lock, Deno.readTextFileSync(inRepository("deno.lock")));
      assertEquals(await mxoss(QUESTION), { code: 0, stdout: "#### 7\n", stderr: "" });
      const closed = await run(["sh", "-c", '"$0" Hi >&-', `${env.HOME}/.deno/bin/mxoss`], { env: { ...env, PATH } });
      assertEquals([closed.code, closed.stderr.startsWith("error: stdout: closed, ")], [1, true]);
      const args = ["quantize", "--scheme", "w_mxfp6_e2m3", "--out", "made"];
      assertEquals((await mxoss(...args)).code, 0);
      assertEquals((await mxoss("inspect", "--model", "made")).code, 0);
      assertMatch((await mxoss("--version")).stdout, /^mxoss \d/);
      Deno.writeTextFileSync(
        `${folder}/deno.lock`,
        lock.replace(/("zod@[\d.]+": \{\s*"integrity": "sha512-)\w{4}/, "$1AAAA"),
      );
      Deno.removeSync(`${env.HOME}/.cache`, { recursive: true });
      const changed = await mxoss(QUESTION);
      assertEquals(changed.code, 1);
      assertMatch(changed.stderr, /checksum did not match .* for zod@/i);
    }),
});

Deno.test("deno task install by npx puts nothing anywhere where the command would find no deno", () =>
  inDirectory(async (dir) => {
    const bin = `${dir}/_npx/0/node_modules/.bin`;
    Deno.mkdirSync(bin, { recursive: true });
    Deno.symlinkSync(Deno.execPath(), `${bin}/deno`);
    const PATH = ["/usr/bin", "/bin"].filter((one) => !hasDeno(one)).concat(bin).join(":");
    const env = { ...Deno.env.toObject(), DENO_INSTALL_ROOT: `${dir}/root`, NO_COLOR: "1", PATH };
    const refused = await run(["deno", "task", "--quiet", "install"], { cwd: inRepository("."), env });
    assertEquals([refused.code, refused.stdout], [2, ""]);
    assertMatch(refused.stderr, /^error: PATH: expected deno, which [^\n]*, got none; [^\n]*\n$/);
    assertEquals([...Deno.readDirSync(dir)].map(({ name }) => name), ["_npx"]);
  }));

Deno.test("deno is found as npm puts it on the PATH, on Windows too, where it is a script", () =>
  inDirectory((dir) => {
    for (const name of ["deno", "deno.exe", "deno.cmd", "deno.ps1"]) {
      const own = `${dir}/${name}.d`;
      Deno.mkdirSync(own);
      Deno.writeTextFileSync(`${own}/${name}`, "");
      const found = (["linux", "windows"] as const).filter((os) => hasDeno(own, os));
      assertEquals([name, found], [name, FOUND_ON[name] ?? []]);
    }
    return Promise.resolve();
  }));
