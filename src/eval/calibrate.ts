/** Scales of static FP8 inputs, from the largest inputs that linears get on given tokens. */
import type { Operation, TapPoint } from "../model/gpt_oss.ts";
import type { Session } from "../model/session.ts";
import { ELEMENTS } from "../quant/elements.ts";

/** Linears of a layer whose input is an operation's result; experts of a projection share one. */
const READERS: Partial<Record<Operation, readonly string[]>> = {
  inputNorm: ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"],
  attention: ["self_attn.o_proj"],
  postNorm: ["mlp.experts.gate_up_proj"],
  "experts.swiglu": ["mlp.experts.down_proj"],
};

/** Scale of an input that was zero all along: any will do that is above 0. */
const NO_INPUT = 2 ** -23;

/**
 * Measures input scales: largest magnitude / 448, by module (as `PlanRequest.inputScales` takes them).
 *
 * @param session A session of the model without quantized inputs.
 * @param sequences Each is computed from its own beginning.
 * @param onProgress Called with tokens done and tokens in all.
 */
export async function calibrate(
  session: Session,
  sequences: readonly Int32Array[],
  onProgress?: (done: number, total: number) => void,
): Promise<ReadonlyMap<string, number>> {
  const largest = new Map<string, number>();
  const look = (point: TapPoint) => {
    const readers = READERS[point.operation];
    if (readers === undefined) return;
    const values = point.read();
    let amax = 0;
    for (let i = 0; i < values.length; i++) amax = Math.max(amax, Math.abs(values[i]!));
    for (const reader of readers) {
      const module = `model.layers.${point.layer}.${reader}`;
      largest.set(module, Math.max(largest.get(module) ?? 0, amax));
    }
  };
  const total = sequences.reduce((sum, s) => sum + s.length, 0);
  let before = 0;
  for (const tokens of sequences) {
    session.reset(0);
    await session.feed(
      { slot: 0, tokens, logits: "none" },
      undefined,
      look,
      (done) => onProgress?.(before + done, total),
    );
    before += tokens.length;
  }
  return new Map(
    [...largest].map(([module, amax]) => [module, amax === 0 ? NO_INPUT : Math.fround(amax / ELEMENTS.e4m3fn.max)]),
  );
}
