/**
 * Calibration: what a running model's linears and cache get to see on given tokens. Quark's observers do the same: the largest magnitude,
 * which static scales then map to the largest FP8 number.
 */
import type { ModelConfig } from "../checkpoint/model_config.ts";
import type { KvScales } from "../checkpoint/source.ts";
import type { TapPoint } from "../model/gpt_oss.ts";
import type { Session } from "../model/session.ts";
import { largestMagnitude } from "../quant/scales.ts";
import { fp8Scale } from "./jobs.ts";
import type { InputScales } from "./targets.ts";

/** Calibrated scales. */
export interface Observed {
  /** By module; every expert has its own, from the tokens that chose it. */
  readonly inputs: InputScales;
  /** Per layer: of keys behind the rotary embedding, and of values. */
  readonly kv: readonly KvScales[];
  /** Experts that no token chose, of all layers: they have the largest scale of their layer. */
  readonly unseenExperts: number;
}

/** Largest magnitudes of one layer. */
interface LayerMagnitudes {
  attentionInput: number;
  attended: number;
  key: number;
  value: number;
  /** Per expert; 0 where no token chose it. */
  readonly gateUp: Float64Array;
  readonly down: Float64Array;
  readonly seen: Uint8Array;
}

/** Looks at passes and keeps the largest magnitudes. */
export class Observer {
  readonly #layers: readonly LayerMagnitudes[];
  readonly #topK: number;
  /** Of the current batch and layer: largest magnitude of each token that the experts get, and the experts that it chose. */
  #tokens: Float64Array = new Float64Array(0);
  #chosen: Int32Array = new Int32Array(0);
  /** Whether every magnitude so far is a number. */
  finite = true;

  constructor({ layers, experts, topK }: ModelConfig) {
    this.#topK = topK;
    this.#layers = Array.from({ length: layers }, () => ({
      ...{ attentionInput: 0, attended: 0, key: 0, value: 0 },
      gateUp: new Float64Array(experts),
      down: new Float64Array(experts),
      seen: new Uint8Array(experts),
    }));
  }

  /** The tap to compute with. */
  readonly look = (point: TapPoint): void => {
    const layer = this.#layers[point.layer];
    if (layer === undefined) return;
    const all = () => {
      const values = point.read(), amax = largestMagnitude(values, 0, values.length);
      this.finite &&= Number.isFinite(amax);
      return amax;
    };
    switch (point.operation) {
      case "inputNorm":
        layer.attentionInput = Math.max(layer.attentionInput, all());
        break;
      case "rotary.k":
        layer.key = Math.max(layer.key, all());
        break;
      case "v_proj":
        layer.value = Math.max(layer.value, all());
        break;
      case "attention":
        layer.attended = Math.max(layer.attended, all());
        break;
      case "postNorm":
        this.#tokens = magnitudes(point);
        break;
      case "route":
        this.#chosen = point.experts!();
        this.#chosen.forEach((expert, slot) => {
          layer.seen[expert] = 1;
          layer.gateUp[expert] = Math.max(layer.gateUp[expert]!, this.#tokens[Math.floor(slot / this.#topK)]!);
        });
        break;
      case "experts.swiglu":
        magnitudes(point).forEach((amax, slot) => {
          const expert = this.#chosen[slot]!;
          layer.down[expert] = Math.max(layer.down[expert]!, amax);
        });
        break;
    }
  };

  /** The scales of what was seen so far. */
  result(): Observed {
    const inputs = new Map<string, number>();
    let unseenExperts = 0;
    this.#layers.forEach(({ attentionInput, attended, gateUp, down, seen }, layer) => {
      const at = `model.layers.${layer}`;
      for (const name of ["q", "k", "v"]) inputs.set(`${at}.self_attn.${name}_proj`, fp8Scale(attentionInput));
      inputs.set(`${at}.self_attn.o_proj`, fp8Scale(attended));
      // A reader that merges experts takes the largest, which an expert without tokens must not change, nor fall below.
      const most = [largestMagnitude(gateUp, 0, gateUp.length), largestMagnitude(down, 0, down.length)] as const;
      seen.forEach((chosen, expert) => {
        if (!chosen) unseenExperts++;
        const name = `${at}.mlp.experts.${expert}`;
        inputs.set(`${name}.gate_up_proj`, fp8Scale(chosen ? gateUp[expert]! : most[0]));
        inputs.set(`${name}.down_proj`, fp8Scale(chosen ? down[expert]! : most[1]));
      });
    });
    const kv = this.#layers.map(({ key, value }) => ({ k: fp8Scale(key), v: fp8Scale(value) }));
    return { inputs, kv, unseenExperts };
  }
}

/** Largest magnitude of each row. */
function magnitudes(point: TapPoint): Float64Array {
  const values = point.read(), { width } = point;
  return Float64Array.from(
    { length: point.rows },
    (_, row) => largestMagnitude(values, row * width, (row + 1) * width),
  );
}

/**
 * Calibrates on sequences, each from its own beginning.
 *
 * @param session A session of the model, with inputs as they are; its slot 0 is used.
 * @param onProgress Called with tokens done and tokens in all.
 * @throws {InputError} or {FailureError} if what is computed is NaN or infinite, as {@linkcode Session.run} does.
 */
export async function observe(
  session: Session,
  config: ModelConfig,
  sequences: readonly Int32Array[],
  onProgress?: (done: number, total: number) => void,
): Promise<Observed> {
  const observer = new Observer(config);
  const total = sequences.reduce((sum, { length }) => sum + length, 0);
  let before = 0;
  for (const tokens of sequences) {
    session.reset(0);
    const progress = (done: number) => onProgress?.(before + done, total);
    // The last logits are asked for because the session refuses those that are no numbers.
    await session.feed({ slot: 0, tokens, logits: "last" }, undefined, observer.look, progress);
    if (!observer.finite) await session.refuse(0, "--calibrate: inputs of linears");
    before += tokens.length;
  }
  return observer.result();
}
