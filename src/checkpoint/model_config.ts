/** The hyperparameters of a GPT-OSS model, after validation; every field is present and consistent. */
export interface ModelConfig {
  /** Layers, L */
  readonly layers: number;
  /** H, width of the residual stream */
  readonly hidden: number;
  /** I, width of one expert's activation (half of gate_up's outputs) */
  readonly intermediate: number;
  /** Experts of a layer, E */
  readonly experts: number;
  /** K, experts per token */
  readonly topK: number;
  /** Query heads, Hq */
  readonly heads: number;
  /** Key-value heads, each of which heads / kvHeads query heads share; Hkv */
  readonly kvHeads: number;
  /** D, width of a head */
  readonly headDim: number;
  /** V, rows of the embedding and of the head */
  readonly vocab: number;
  /** Added to the mean square before its root is taken. */
  readonly rmsNormEps: number;
  /** Keys that a sliding layer sees, the token itself included. */
  readonly slidingWindow: number;
  /** Per layer: true where attention is limited to the sliding window. */
  readonly sliding: readonly boolean[];
  /** Factor of the gate in the sigmoid: an expert's activation is (up + 1) * gate * sigmoid(swigluAlpha * gate). */
  readonly swigluAlpha: number;
  /** Gate and up are clamped to this magnitude, the gate from above only. */
  readonly swigluLimit: number;
  /** The rotary embedding. */
  readonly rope: RopeConfig;
  /** Longest sequence, in tokens. */
  readonly maxPositions: number;
  /** From config.json and generation_config.json: ids that end generation, without duplicates. */
  readonly eosTokenIds: readonly number[];
  /** Id of the token that pads; null: none is named. */
  readonly padTokenId: number | null;
  /** Id of the token that begins a text; null: none is named. */
  readonly bosTokenId: number | null;
}

/**
 * Rotary embedding: pair i of a head's D/2 turns by theta^(-2i/D) a position. `yarn` is null where the config asks for
 * no more than that.
 */
export interface RopeConfig {
  /** Base of the frequencies. */
  readonly theta: number;
  /** YaRN (Peng et al. 2023), which stretches the context beyond the one that was trained. */
  readonly yarn: {
    /** How many times longer it becomes; slow pairs turn by so much less. */
    readonly factor: number;
    /** Pairs that turn at least so often within the trained context stay as they are. */
    readonly betaFast: number;
    /** Those that turn at most so often are slowed down by all of the factor; between both, by a part of it. */
    readonly betaSlow: number;
    /** Positions of the trained context. */
    readonly originalMaxPositions: number;
    /** Whether the bounds are whole pairs. */
    readonly truncate: boolean;
  } | null;
}
