/** Logits of ranks beside others: how far apart, and how far from those in float32. */
import { asset } from "../src/assets.ts";
import type { ParallelSizes } from "../src/checkpoint/shard.ts";
import type { Room } from "../src/session/open.ts";
import type { Session } from "../src/session/session.ts";
import { integers, readGolden } from "../tests/golden.ts";

/** Opens a model on so many ranks. */
export type OpenRanks = (dir: string, sizes: ParallelSizes, dtype: "f32" | "bf16", room: Room) => Promise<Session>;

/** Logits of all positions. */
export async function logitsOf(session: Session, tokens: Int32Array): Promise<Float32Array> {
  const { vocab } = session.limits, all = new Float32Array(tokens.length * vocab);
  session.reset(0);
  await session.feed({ slot: 0, tokens, logits: "all" }, (p, row) => all.set(row, p * vocab));
  return all;
}

/** The index of the largest. */
export const largest = (logits: Float32Array) => logits.reduce((best, x, i) => x > logits[best]! ? i : best, 0);

/** The distance of logits from others, and how often the largest is the same. */
export function compare(got: Float32Array, expected: Float32Array, vocab: number) {
  let error = 0, squares = 0, same = 0;
  const rows = got.length / vocab;
  got.forEach((v, i) => {
    error += (v - expected[i]!) ** 2;
    squares += expected[i]! ** 2;
  });
  for (let r = 0; r < rows; r++) {
    const at = (all: Float32Array) => largest(all.subarray(r * vocab, (r + 1) * vocab));
    if (at(got) === at(expected)) same++;
  }
  return { nmse: error / squares, sameArgmax: same / rows };
}

/**
 * How far bf16 takes the logits from those that float32 gives for the same weights, and what ranks change about that:
 * of random weights, and of the embedded model.
 */
export async function distances(
  dir: string,
  all: readonly ParallelSizes[],
  open: OpenRanks,
  keep: (name: string, what: Record<string, unknown>) => void,
): Promise<void> {
  const file = readGolden(asset("tests/goldens/logits.safetensors").pathname);
  const models = [
    {
      dir,
      tokens: [24, 96].map((length) => Int32Array.from({ length }, (_, i) => (i * 7919 + 13) % 200_000)),
    },
    {
      dir: asset("models/tiny-gpt-oss").pathname,
      tokens: ["one_turn", "two_turns", "long"].map((text) => Int32Array.from(integers(file, `${text}.ids`))),
    },
  ];
  for (const { dir, tokens } of models) {
    const runs = [
      { tp: 1, ep: 1, dtype: "f32" as const },
      ...all.map((sizes) => ({ ...sizes, dtype: "bf16" as const })),
    ];
    const logits: Float32Array[][] = [];
    let vocab = 0;
    for (const { tp, ep, dtype } of runs) {
      const session = await open(dir, { tp, ep }, dtype, { slots: 1, context: 2048 });
      vocab = session.limits.vocab;
      const own: Float32Array[] = [];
      for (const ids of tokens) own.push(await logitsOf(session, ids.map((id) => id % vocab)));
      logits.push(own);
      await session.close();
    }
    const [exact, first] = logits as [Float32Array[], Float32Array[]];
    runs.slice(1).forEach(({ tp, ep }, i) =>
      tokens.forEach((ids, t) => {
        const own = logits[i + 1]![t]!, float = compare(own, exact[t]!, vocab), one = compare(own, first[t]!, vocab);
        const said = ({ nmse, sameArgmax }: typeof one) =>
          `NMSE ${nmse.toExponential(2)}, same argmax ${sameArgmax.toFixed(3)}`;
        console.log(
          `${dir} ${ids.length} tokens, tp ${tp} ep ${ep} bf16: to float32 ${said(float)}; to the first ${said(one)}`,
        );
        keep(`tp ${tp} ep ${ep}`, { [`distances ${dir} ${ids.length}`]: { float, one } });
      })
    );
  }
}
