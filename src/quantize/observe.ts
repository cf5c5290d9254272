/**
 * Calibration: what the linears and the cache of a running model are given on some tokens. Quark's observers do the
 * same: the largest magnitude, which static scales then map to the largest FP8 number.
 */
import type { ModelConfig } from "../checkpoint/model_config.ts";
import { type KvScales, LAYER_LINEARS, type LinearName } from "../checkpoint/source.ts";
import type { TapPoint } from "../model/gpt_oss.ts";
import { inputOperation, operation, operationWith } from "../model/operations.ts";
import type { Session } from "../session/session.ts";
import { largestMagnitude } from "../formats/scales.ts";
import { fp8Scale } from "../conversion/encode_matrix.ts";
import type { InputScales } from "./targets.ts";
import { option, words } from "../words.ts";

/** Calibrated scales. */
export interface Observed {
  /** By module; every expert has its own, from the tokens that chose it. */
  readonly inputs: InputScales;
  /** Per layer: of keys after the rotary embedding, and of values. */
  readonly kv: readonly KvScales[];
  /** Experts that no token chose, of all layers: they have the largest scale of their layer. */
  readonly unseenExperts: number;
}

/** Names of the modules whose inputs get a static scale; of experts with the expert's number in the middle. */
const MODULES: Readonly<Partial<Record<LinearName, (expert: number) => string>>> = {
  q: () => "self_attn.q_proj",
  k: () => "self_attn.k_proj",
  v: () => "self_attn.v_proj",
  o: () => "self_attn.o_proj",
  gateUp: (expert) => `mlp.experts.${expert}.gate_up_proj`,
  down: (expert) => `mlp.experts.${expert}.down_proj`,
};

/** The linears whose inputs are looked at. */
const OBSERVED = LAYER_LINEARS.filter((name) => MODULES[name] !== undefined);

/** Largest magnitudes of one layer. */
interface LayerMagnitudes {
  readonly cache: { key: number; value: number };
  /** Of the inputs of each linear: one number, or one per expert (0 where no token chose it). */
  readonly inputs: ReadonlyMap<LinearName, Float64Array>;
  readonly seen: Uint8Array;
}

/** Looks at passes and keeps the largest magnitudes. */
export class Observer {
  readonly #layers: readonly LayerMagnitudes[];
  readonly #topK: number;
  /**
   * Of the current batch and layer: rows' largest magnitudes of what the experts' first linear reads, and the experts
   * chosen.
   */
  #tokens: Float64Array = new Float64Array(0);
  #chosen: Int32Array = new Int32Array(0);
  /** Whether every magnitude so far is a number. */
  finite = true;

  constructor({ layers, experts, topK }: ModelConfig) {
    this.#topK = topK;
    const counts = (name: LinearName) => operationWith(name).rows === "slot" ? experts : 1;
    this.#layers = Array.from({ length: layers }, () => ({
      cache: { key: 0, value: 0 },
      inputs: new Map(OBSERVED.map((name) => [name, new Float64Array(counts(name))])),
      seen: new Uint8Array(experts),
    }));
  }

  /** The tap to compute with. */
  readonly look = (point: TapPoint): void => {
    const layer = this.#layers[point.layer];
    if (layer === undefined) return;
    const { cache } = operation(point.operation);
    if (cache) layer.cache[cache] = Math.max(layer.cache[cache], ...this.#rows(point));
    if (point.operation === "route") {
      this.#chosen = point.experts!();
      for (const expert of this.#chosen) layer.seen[expert] = 1;
      this.#perExpert(layer, "gateUp", (slot) => this.#tokens[Math.floor(slot / this.#topK)]!);
    }
    for (const name of OBSERVED) {
      if (inputOperation(name) !== point.operation) continue;
      const rows = this.#rows(point), into = layer.inputs.get(name)!;
      if (operationWith(name).rows === "token") into[0] = Math.max(into[0]!, ...rows);
      else if (operation(point.operation).rows === "slot") this.#perExpert(layer, name, (slot) => rows[slot]!);
      // Which experts a token's row goes to is not known before the router's choice.
      else this.#tokens = rows;
    }
  };

  /** The rows' largest magnitudes. */
  #rows(point: TapPoint): Float64Array {
    const rows = magnitudes(point);
    this.finite &&= rows.every(Number.isFinite);
    return rows;
  }

  #perExpert({ inputs }: LayerMagnitudes, name: LinearName, ofSlot: (slot: number) => number): void {
    const into = inputs.get(name)!;
    this.#chosen.forEach((expert, slot) => into[expert] = Math.max(into[expert]!, ofSlot(slot)));
  }

  /** The scales of what was seen so far. */
  result(): Observed {
    const inputs = new Map<string, number>();
    let unseenExperts = 0;
    this.#layers.forEach(({ inputs: seenInputs, seen }, layer) => {
      unseenExperts += seen.filter((chosen) => !chosen).length;
      for (const [name, amax] of seenInputs) {
        // A reader that merges experts takes the largest, which an expert without tokens must not change, nor fall
        // below.
        const most = largestMagnitude(amax, 0, amax.length);
        const chosen = (expert: number) => operationWith(name).rows === "token" || seen[expert] === 1;
        amax.forEach((own, i) =>
          inputs.set(`model.layers.${layer}.${MODULES[name]!(i)}`, fp8Scale(chosen(i) ? own : most))
        );
      }
    });
    const kv = this.#layers.map(({ cache: { key, value } }) => ({ k: fp8Scale(key), v: fp8Scale(value) }));
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
    // The last logits are asked for because the session refuses NaN and infinities among them.
    await session.feed({ slot: 0, tokens, logits: "last" }, undefined, observer.look, progress);
    if (!observer.finite) await session.refuse(0, words`${option("calibrate")}: inputs of linears`);
    before += tokens.length;
  }
  return observer.result();
}
