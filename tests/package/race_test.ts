/**
 * Two users at once: one starts the self-extracting binary for the first time, the other wants his own program started.
 */
import { assertEquals } from "../assert.ts";
import { writeExecutable } from "../executable.ts";
import { command, inDirectory, run, works } from "./process.ts";
import { dose } from "../soak.ts";
import { BINARY, shells } from "./stub.ts";

/** Two users that need no account. */
const VICTIM = 54321, ATTACKER = 54322;
/** First starts that are tried in each shell. */
const STARTS = dose(3, 30);
/** Who runs what as somebody else. */
const as = (user: number) => ["setpriv", `--reuid=${user}`, `--regid=${user}`, "--clear-groups"];

const PATH = Deno.env.get("PATH")!;
const reason = Deno.uid() !== 0
  ? "needs root to be two users"
  : await works([...as(VICTIM), "true"])
  ? null
  : "setpriv is not there or not permitted";

Deno.test({
  name: `another user who wins races for the place of the first start runs nothing${
    reason ? ` (skipped: ${reason})` : ""
  }`,
  ignore: reason !== null,
  fn: () =>
    inDirectory(async (dir) => {
      await Deno.chmod(dir, 0o755);
      const tmp = `${dir}/tmp`, bait = `${dir}/bait`, place = `${tmp}/mxoss-${VICTIM}`;
      writeExecutable(`${dir}/mxoss`, BINARY);
      for (
        const [path, mode, owner] of [[tmp, 0o1777, 0], [bait, 0o755, VICTIM], [
          `${dir}/state`,
          0o700,
          ATTACKER,
        ]] as const
      ) {
        await Deno.mkdir(path);
        await Deno.chown(path, owner, owner);
        await Deno.chmod(path, mode);
      }
      await Deno.copyFile(new URL("attacker.ts", import.meta.url), `${dir}/attacker.ts`);
      const words = [
        ...as(ATTACKER),
        Deno.execPath(),
        "run",
        "--allow-all",
        "--no-check",
        `${dir}/attacker.ts`,
        place,
        bait,
      ];
      await using attacker = command(words, { env: { PATH, DENO_DIR: `${dir}/state`, NO_COLOR: "1" } }).spawn();
      const reader = attacker.stdout.getReader();
      assertEquals(new TextDecoder().decode((await reader.read()).value), "ready\n");
      const outcomes = new Set<string>();
      try {
        for (const shell of shells) {
          for (let i = 0; i < STARTS; i++) {
            const env = { PATH, HOME: "/nonexistent", TMPDIR: tmp };
            const { code, stdout, stderr } = await run([...as(VICTIM), ...shell, `${dir}/mxoss`], { env });
            outcomes.add(`exit code ${code}, ${stderr || "no error"}`);
            if (stdout.includes(place)) outcomes.add("started from where the attacker is");
            for (const { name } of Deno.readDirSync(bait)) outcomes.add(`followed a link and made ${name.slice(0, 5)}`);
            await Deno.remove(`/tmp/mxoss-${VICTIM}`, { recursive: true }).catch(() => {});
          }
        }
      } finally {
        attacker.kill();
        await reader.cancel();
        await attacker.stderr.cancel();
      }
      assertEquals(await Deno.readTextFile(`${place}.proof`), "", "users as whom the attacker's program ran");
      assertEquals([...outcomes], ["exit code 7, no error"]);
    }),
});
