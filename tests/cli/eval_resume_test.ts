/** An evaluation that is killed at random moments ends in the same files as one that is left alone. */
import { assert, assertEquals } from "../assert.ts";
import { unsealedJournal } from "../eval/reseal.ts";
import { dose, SOAK } from "../soak.ts";
import { inProcess } from "./in_process.ts";
import { mxoss, program } from "./program.ts";

const PROBLEMS = new URL("../goldens/word-problems.jsonl", import.meta.url).pathname;
const ASKED = dose(6, 20);
/** Kills, and those among them that come while answers are being found. */
const KILLS = dose(1, 20), PARTIAL = dose(1, 3);
const KEYS = ["w_mxfp4.kv-auto.tp1", "w_mxfp4_a_mxfp4.kv-auto.tp1"];

/** Few sequences at once, so that answers come one after the other. */
const args = (out: string) => [
  "eval",
  "gsm8k",
  ...["--data", PROBLEMS, "--limit", `${ASKED}`, "--scheme", "w_mxfp4,w_mxfp4_a_mxfp4"],
  ...["--max-tokens", `${dose(40, 120)}`, "--sequences", "3", "--divergence", `${dose(1, 2)}`],
  ...["--export", "lm-eval", "--out", out],
];

/** Lines of a journal after its header; none where there is no file. */
function answers(out: string, key: string): string[] {
  try {
    // Checksums cover the lines above, too, whose order is that in which answers came.
    return unsealedJournal(Deno.readTextFileSync(`${out}/answers.${key}.jsonl`)).split("\n").slice(1, -1);
  } catch {
    return [];
  }
}

/** Runs what nobody kills, which outside a soak needs no process of its own. */
const toItsEnd = (args: readonly string[], writable: string) => SOAK ? mxoss(args, { writable }) : inProcess(args);

const TIMES = dose("once", `${KILLS} times`);

Deno.test(`eval killed ${TIMES} at random moments resumes to the same files, byte for byte`, async () => {
  const dir = await Deno.makeTempDir();
  try {
    const whole = `${dir}/whole`, killed = `${dir}/killed`;
    const started = performance.now();
    const { code, stderr } = await toItsEnd(args(whole), dir);
    assertEquals(code, 0, stderr);
    const duration = performance.now() - started;

    // Xorshift with a fixed seed; the moments still depend on the machine, which is the point.
    let state = 88172645;
    const random = () => {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      return (state >>> 0) / 2 ** 32;
    };
    let kills = 0, partial = 0, before = 0;
    // More of them where some came before the first answer or after the last.
    while (kills < KILLS || partial < PARTIAL) {
      const child = program(args(killed), { writable: dir }).spawn();
      const output = child.output();
      const found = () => KEYS.reduce((sum, key) => sum + answers(killed, key).length, 0);
      // Long enough to come further now and then, short enough to be killed many times on the way; every fifth time as
      // soon as there is another answer, wherever on the way that is on this machine.
      const timer: ReturnType<typeof setTimeout> = kills % 5 === 0
        ? setInterval(() => {
          if (found() <= before) return;
          clearInterval(timer);
          child.kill("SIGKILL");
        }, 5)
        : setTimeout(() => child.kill("SIGKILL"), (0.1 + 0.35 * random()) * duration);
      const { signal } = await output;
      clearTimeout(timer);
      const now = found();
      assert(now >= before, `${before} answers before, ${now} after a kill: one was lost`);
      before = now;
      if (signal === "SIGKILL") {
        kills++;
        if (now > 0 && now < 2 * ASKED) partial++;
      } else {
        // It was quicker than the timer: take something away, and go on killing.
        await Deno.remove(`${killed}/results.json`);
        const path = `${killed}/answers.${KEYS[1]}.jsonl`, bytes = await Deno.readFile(path);
        await Deno.writeFile(path, bytes.subarray(0, Math.floor(bytes.length * (0.3 + 0.6 * random()))));
        before = 0;
      }
    }
    const last = await toItsEnd(args(killed), dir);
    assertEquals(last.code, 0, last.stderr);

    for (const key of KEYS) {
      const indices = answers(killed, key).map((line) => JSON.parse(line).index as number);
      assertEquals(indices.toSorted((a, b) => a - b), Array.from({ length: ASKED }, (_, i) => i), key);
      assertEquals(answers(killed, key).toSorted(), answers(whole, key).toSorted());
    }
    for (const file of ["results.json", "report.html", ...KEYS.map((key) => `samples_gsm8k_${key}.jsonl`)]) {
      const [a, b] = [await Deno.readFile(`${whole}/${file}`), await Deno.readFile(`${killed}/${file}`)];
      assertEquals(a.length, b.length, file);
      assert(a.every((byte, i) => byte === b[i]), `${file} differs`);
    }
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});
