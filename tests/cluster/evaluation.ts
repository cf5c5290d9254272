/** The evaluation that the examples carry out on a cluster, and the same in one process. */
import { assertEquals } from "../assert.ts";
import type { Bench } from "./processes.ts";

/** Problems that are asked; a cluster is given 8 parts of them at most. */
export const ASKED = 24;

/** Options beside those of the examples; one sequence at a time, so that answers come one after the other. */
export const ARGS = `--limit ${ASKED} --max-tokens 12 --sequences 1 --scheme w_mxfp4,w_mxfp4_a_mxfp4 --divergence 4`;

/** Answers everything in one process, and returns its directory. */
export async function inOneProcess(bench: Bench): Promise<string> {
  const { MODEL, DATA } = bench.env, out = `${bench.path}/one`;
  const given = ["--model", MODEL!, "--data", DATA!, "--out", out, "--threads", "1", ...ARGS.split(" ")];
  const { code, stderr } = await bench.run(["mxoss", "eval", "gsm8k", "--shard", "none", ...given]);
  assertEquals(code, 0, stderr);
  return out;
}

/** Asserts that two directories have the same results. */
export function assertSameResults(a: string, b: string): void {
  for (const name of ["results.json", "report.html"]) {
    assertEquals(Deno.readTextFileSync(`${a}/${name}`), Deno.readTextFileSync(`${b}/${name}`), name);
  }
}

/** Answers that a part has under its first setting. */
export function answersOf(dir: string): number {
  try {
    return Array.from(Deno.readDirSync(dir), ({ name }) => name)
      .filter((name) => name.startsWith("answers.w_mxfp4."))
      .reduce((sum, name) => sum + Deno.readTextFileSync(`${dir}/${name}`).split("\n").length - 2, 0);
  } catch {
    return 0;
  }
}

/** Processes of the program whose environment has all of some variables: by /proc. */
export function processesWith(variables: Readonly<Record<string, string>>): number[] {
  return Array.from(Deno.readDirSync("/proc"), ({ name }) => Number(name)).filter((pid) => {
    try {
      const environment = Deno.readTextFileSync(`/proc/${pid}/environ`).split("\0");
      const command = Deno.readTextFileSync(`/proc/${pid}/cmdline`).split("\0");
      return command.some((word) => word.endsWith("/main.ts")) &&
        Object.entries(variables).every(([name, value]) => environment.includes(`${name}=${value}`));
    } catch {
      return false;
    }
  });
}
