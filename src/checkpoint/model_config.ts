/** The hyperparameters of a GPT-OSS model, after validation; every field is present and consistent. */
export interface ModelConfig {
  /** L */
  readonly layers: number;
  /** H, width of the residual stream */
  readonly hidden: number;
  /** I, width of one expert's activation (half of gate_up's outputs) */
  readonly intermediate: number;
  /** E */
  readonly experts: number;
  /** K, experts per token */
  readonly topK: number;
  /** Hq */
  readonly heads: number;
  /** Hkv */
  readonly kvHeads: number;
  /** D */
  readonly headDim: number;
  /** V */
  readonly vocab: number;
  /** Added to the mean square before its root is taken. */
  readonly rmsNormEps: number;
  /** Keys that a sliding layer sees, the token itself included. */
  readonly slidingWindow: number;
  /** Per layer: true where attention is limited to the sliding window. */
  readonly sliding: readonly boolean[];
  /** Factor of the gate in the sigmoid. */
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

/** Rotary embedding; `yarn` is null where the config asks for plain rotary embedding. */
export interface RopeConfig {
  /** Base of the frequencies. */
  readonly theta: number;
  /** YaRN, which stretches the context beyond the one that was trained. */
  readonly yarn: {
    readonly factor: number;
    readonly betaFast: number;
    readonly betaSlow: number;
    readonly originalMaxPositions: number;
    readonly truncate: boolean;
  } | null;
}
