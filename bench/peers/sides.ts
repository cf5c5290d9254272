/** What one turn of either side is: a session of ours over random weights, and the programs of llama.cpp. */
import { collectGarbage } from "../../src/bench/garbage.ts";
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { missingScales } from "../../src/plan/planned.ts";
import { openSetting } from "../../src/session/open.ts";
import type { Room } from "../../src/session/request.ts";
import type { Session } from "../../src/session/session.ts";
import { DEFAULTS, planSetting } from "../../src/session/setting.ts";

/** A checkpoint and how a session computes it. */
export type Side = {
  readonly dir: string;
  readonly scheme: string;
  readonly threads: number;
  readonly room: Room;
};

/**
 * A session over a mapped checkpoint, whose FP8 inputs have scales of one where it has none; closed when the work is
 * done.
 *
 * @param opened Gets the seconds that opening took.
 */
export async function withSession(
  { dir, scheme, threads, room }: Side,
  opened: (seconds: number) => void,
  work: (session: Session) => Promise<void>,
): Promise<void> {
  const began = performance.now();
  const checkpoint = openCheckpoint(dir, {});
  const linears = scheme.endsWith("_a_fp8") ? { scales: missingScales(checkpoint), from: "one" } : null;
  const session = await openSetting(
    planSetting({ ...DEFAULTS, checkpoint, scheme, threads, inputScales: linears }),
    room,
  );
  opened((performance.now() - began) / 1000);
  try {
    await work(session);
  } finally {
    await session.close();
    await collectGarbage();
  }
}

/**
 * What a command prints.
 *
 * @throws Error If its exit code is not 0, with the end of what it says of that.
 */
export async function output(command: string, args: readonly string[]): Promise<string> {
  const { success, code, stdout, stderr } = await new Deno.Command(command, { args: [...args], stdin: "null" })
    .output();
  if (!success) throw new Error(`${command}: exit code ${code}\n${new TextDecoder().decode(stderr).slice(-2000)}`);
  return new TextDecoder().decode(stdout);
}

/** Programs of llama.cpp, and what they compute with how many threads. */
export type Peer = {
  readonly bench: string;
  readonly batched: string;
  readonly gguf: string;
  readonly threads: number;
};

const common = ({ gguf, threads }: Peer): string[] => ["-m", gguf, "-ngl", "0", "-t", `${threads}`];

/** llama-bench's tokens per second, the mean of `runs`. */
export async function peerRate(peer: Peer, test: readonly string[], runs: number): Promise<number> {
  const json = await output(peer.bench, [...common(peer), ...test, "-r", `${runs}`, "-o", "json"]);
  return (JSON.parse(json) as { readonly avg_ts: number }[])[0]!.avg_ts;
}

/** llama-batched-bench's tokens per second of so many steps, for each number of sequences after one common prompt. */
export async function peerBatches(
  peer: Peer,
  context: number,
  steps: number,
  batches: readonly number[],
): Promise<{ readonly sequences: number; readonly rate: number }[]> {
  const sizes = ["-c", "10240", "-npp", `${context}`, "-ntg", `${steps}`, "-npl", batches.join(","), "-pps"];
  const lines = (await output(peer.batched, [...common(peer), ...sizes, "--output-format", "jsonl"])).split("\n");
  return lines.filter((line) => line.startsWith("{")).map((line) => {
    const { pl, speed_tg } = JSON.parse(line) as { readonly pl: number; readonly speed_tg: number };
    return { sequences: pl, rate: speed_tg };
  });
}
