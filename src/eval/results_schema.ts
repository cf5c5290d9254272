/**
 * The form of `results.json`, one schema for each command. What a field means is said here once:
 * `docs/report-schema.md` is made from it, and every file is checked against it before it is written.
 *
 * Nothing in it depends on when, how fast or in how many attempts it was computed. Numbers that are not finite are
 * null.
 */
import { z } from "zod";
import { FILTERS } from "./filters.ts";
import { estimated, PredictionsResult, RankingResult, Stopped } from "./predictions_schema.ts";

/** Version of the three schemas; it grows when a field changes its meaning or goes away. */
export const SCHEMA_VERSION = 2;

const text = (what: string) => z.string().describe(what);
const count = (what: string) => z.int().min(0).describe(what);
const number = (what: string) => z.number().nullable().describe(what);
const share = (what: string) => z.number().min(0).max(1).describe(what);

/** What a setting computes with; the part of the protocol that is the setting's own. */
export const SettingProtocol = z.strictObject({
  model: text("directory of the checkpoint, as it was given"),
  layout: text("layout of the checkpoint"),
  fingerprint: text("SHA-256 of config.json and the safetensors headers"),
  weights_sha256: text("SHA-256 of the weight files, one after the other"),
  scheme: text("quantization scheme of the experts"),
  scale_rule: z.string().nullable().describe(
    "rule by which scales of MX inputs are made on the fly: even or floor; null where no input is MX",
  ),
  converted_from: z.string().nullable().describe(
    "formats that the experts' weights are stored in and converted from while they are loaded; null where none are",
  ),
  formats_sha256: text("SHA-256 of the list of all linears with their weight and input formats"),
  calibrated_on: z.string().nullable().describe(
    "what static input scales were measured on, where the checkpoint has none",
  ),
  backend: text("backend that computed"),
  dtype: text("number format of activations between operations"),
  kv_cache_dtype: text("number format of cached keys and values"),
  tp: count("ranks that share heads, vocabulary and expert columns"),
  ep: count("groups of ranks that share the experts"),
  threads: count("worker threads; no result depends on them"),
}).describe("how a setting computes");
/** What a setting computes with. */
export type SettingProtocol = z.infer<typeof SettingProtocol>;

/** What a setting costs. */
export const SettingCost = z.strictObject({
  weight_bytes: count("bytes of all weights with their scales, as they are computed"),
  bits_per_weight: z.number().describe("the same in bits, over the number of weights"),
  kv_bytes_per_token: count("bytes of the keys and values of a token, all layers together"),
  active_bytes_per_token: count(
    "bytes of weights that a token needs: all but the experts that it does not choose, and one row of the embedding",
  ),
}).describe("what the setting costs, all ranks together");
/** What a setting costs. */
export type SettingCost = z.infer<typeof SettingCost>;

const Bandwidth = z.strictObject({
  name: text("as it was given: a device, or a figure"),
  bytes_per_second: z.number().describe("bytes per second"),
}).nullable().describe("memory bandwidth that tokens per second are estimated for; null where none was named");

const interval = { low: number("lower end of the 95% interval"), high: number("upper end of the 95% interval") };

const ErrorSummary = {
  relative_error: number("||B - A|| / ||A|| over all elements; null if it is not finite"),
  interval: z.strictObject(interval).nullable().describe(
    "its 95% interval; null where there are too few tokens for one",
  ),
  sqnr_db: number("signal to quantization noise, 10 log10(||A||^2 / ||B - A||^2); null where the two are equal"),
  max_error: number("largest |B - A|"),
  non_finite: count("elements that are NaN or infinite on one side only"),
};

const Counts = z.strictObject({
  format: text("what the tensor goes through"),
  scale: number("scale of the whole tensor, where there is one"),
  elements: count("elements seen"),
  clipped: count("elements beyond the format's largest number"),
  at_max: count("elements that become the format's largest number, clipped ones included"),
  flushed: count("elements that are not zero and become zero"),
  error: number("relative error of quantize-dequantize over the first 64 rows"),
});

const InputShares = z.strictObject({
  format: text("what it goes through"),
  relative_error: number("error of quantize-dequantize over the first 64 rows"),
  flushed: share("share that is not zero and becomes zero"),
  at_max: share("share that becomes the format's largest number"),
  clipped: share("share beyond the format's largest number"),
});

const changed = (what: string, over: string) => ({
  scales_changed: share(`share of the ${what}'s scales that differ, ${over}; null where the formats do`).nullable(),
  codes_changed: share(`share of the ${what}'s codes that differ, ${over}; null where the formats do`).nullable(),
});

/** The comparison of two settings on the same tokens. */
export const DivergenceResult = z.strictObject({
  tokens: count("tokens computed"),
  sequences: count("sequences that they form"),
  logits: z.strictObject({
    ...PredictionsResult.shape,
    kl: z.array(z.number().nullable()).describe("KL(A || B) of every position, sequence after sequence"),
    agrees: text("one character per position: 1 where the likeliest token is the same, else 0"),
    lengths: z.array(z.int().min(1)).describe("tokens of each sequence"),
    nll_a: z.array(z.number().nullable()).describe(
      "negative log probability of the next token under A, in nats, of every position but each sequence's last",
    ),
    nll_b: z.array(z.number().nullable()).describe("the same under B"),
  }).describe("distance of the predictions"),
  alarm: z.number().describe("relative error above which an operation is named"),
  first_above_alarm: z.strictObject({
    layer: z.int().describe("layer; -1 before the first, the number of layers after the last"),
    operation: text("operation"),
    relative_error: number("its total relative error"),
  }).nullable().describe("first operation of the pass above the alarm line"),
  suspects: z.array(z.strictObject({
    layer: z.int().describe("layer"),
    operation: text("operation"),
    error: number("relative error that it is judged by"),
    explained: number("relative error that the declared formats account for"),
    excess: number("error over explained; null where nothing is explained"),
    evidence: z.enum(["own", "estimated"]).describe(
      "own: measured on equal inputs; estimated: from the errors of its inputs",
    ),
    hints: z.array(z.string()).describe("what is known besides"),
  })).describe("operations whose own error is far above what the settings explain, in the order of the pass"),
  operations: z.array(z.strictObject({
    layer: z.int().describe("layer; -1 before the first, the number of layers after the last"),
    operation: text("operation"),
    rows: count("rows compared"),
    unmatched_rows: count("rows of expert operations without a counterpart, because the token went to other experts"),
    total: z.strictObject(ErrorSummary).describe("each side on its own: errors of earlier operations included"),
    own: z.strictObject(ErrorSummary).nullable().describe("the operation alone, on equal inputs; null where unknown"),
    explained: number("own relative error that the declared formats account for"),
    outliers: z.array(z.strictObject({
      channel: count("column of the result"),
      magnitude: number("RMS of the channel over the RMS of the tensor"),
      error_share: number("its part of the squared error"),
    })).describe("channels that stand out"),
  })).describe("every operation of every layer, in the order of the pass"),
  router: z.strictObject({
    decisions: count("tokens times layers"),
    flipped: count("decisions for another set of experts"),
    per_layer: z.array(z.number()).describe("share of tokens that flipped, by layer"),
    flips: z.array(z.strictObject({
      layer: count("layer"),
      sequence: count("sequence"),
      position: count("position of the token"),
      token: count("id of the token"),
      lost: z.array(z.int()).describe("experts that only A chose"),
      gained: z.array(z.int()).describe("experts that only B chose"),
      margin: number("by how much A's router logits preferred the lost ones"),
    })).describe("the first 1,000"),
  }).describe("which tokens went to other experts"),
  tensors: z.array(z.strictObject({
    name: text("tensor"),
    layer: z.int().describe("layer"),
    a: Counts.nullable().describe("under A; null where it is not quantized"),
    b: Counts.nullable().describe("under B; null where it is not quantized"),
    ...changed("tensor", "over the first 64 rows"),
  })).describe("GEMM inputs and cached keys and values that are quantized on either side"),
  projections: z.array(z.strictObject({
    layer: z.int().describe("layer; the number of layers for the head"),
    operation: text("the linear"),
    weights: z.strictObject({
      format_a: text("format under A; several are joined by +"),
      format_b: text("format under B"),
      relative_error: number("||B - A|| / ||A|| over all weights, of experts all together"),
      ...changed("weights", "all of them"),
      flushed: share("share that is not zero under A and zero under B"),
      at_max: share("share that has the largest magnitude of B's format; null of plain numbers or equal files")
        .nullable(),
    }).describe("what the settings multiply by"),
    input: z.strictObject({
      a: InputShares.nullable().describe("under A; null where it is not quantized"),
      b: InputShares.nullable().describe("under B; null where it is not quantized"),
      ...changed("input", "over the first 64 rows"),
      outlier_channels: count("channels whose RMS is four times that of the tensor or more, eight at most"),
      loudest: z.number().describe("RMS of the loudest of them over that of the tensor; 0 where there is none"),
    }).describe("what they multiply"),
    output: z.strictObject({
      own: number("relative error on equal inputs; null where unknown"),
      total: number("relative error with everything that came before"),
    }).describe("the products"),
  })).describe("where the error comes from: every linear of every layer, the head last"),
});
/** The comparison of two settings, as results hold it. */
export type DivergenceResult = z.infer<typeof DivergenceResult>;

const head = <const K extends string>(kind: K) => ({
  schema: z.literal(`mxoss.${kind}`).describe("which of the schemas"),
  version: z.literal(SCHEMA_VERSION).describe("version of the schema"),
  mxoss: text("version of the program"),
});

const Ranking = RankingResult.nullable().describe("how far settings are from the first; null where fewer than two are");

const file = { name: text("name of the file"), sha256: text("SHA-256 of the file") };

/** results.json of `mxoss compare`. */
export const CompareResults = z.strictObject({
  ...head("compare"),
  protocol: z.strictObject({
    a: SettingProtocol,
    b: SettingProtocol,
    text: z.strictObject({ ...file, tokens: count("tokens used"), sequence_length: count("tokens of a sequence") })
      .describe("what was computed"),
  }).describe("what made the numbers"),
  cost: z.strictObject({ a: SettingCost, b: SettingCost }).describe("what both settings cost"),
  bandwidth: Bandwidth,
  divergence: DivergenceResult.describe("A against B"),
});
/** results.json of `mxoss compare`. */
export type CompareResults = z.infer<typeof CompareResults>;

const Accuracy = z.strictObject({
  correct: count("problems solved"),
  accuracy: share("their share"),
  low: share("lower end of Wilson's 95% interval"),
  high: share("upper end of Wilson's 95% interval"),
  outcomes: text("one character per problem: 1 solved, 0 not"),
});

const Pair = z.strictObject({
  filter: z.enum(FILTERS).describe("filter"),
  lost: count("problems that only the first setting solves"),
  gained: count("problems that only this one solves"),
  changed: count("problems whose extracted answer is another one, right or wrong"),
  difference: z.number().describe("accuracy of this setting minus that of the first"),
  ...interval,
  p: share("McNemar's mid-p value"),
  p_holm: share("the same, corrected for the number of settings (Holm)"),
  detectable: share("smallest true difference that so many problems show with 80% power"),
});

/** A cell's place on the axes of its matrix. */
const AskedCell = z.strictObject({
  model: z.string().nullable().describe("what its model is called beside the others; null where there is one only"),
  scheme: z.string().nullable().describe("quantization scheme; null: as the checkpoint is stored"),
  kv_cache_dtype: z.enum(["auto", "bf16", "fp8"]).describe("number format of cached keys and values"),
  tp: count("ranks that share heads, vocabulary and expert columns"),
  ep: count("groups of ranks that share the experts"),
}).describe("what was asked for on each axis of the matrix");
/** A cell's place on the axes of its matrix. */
export type AskedCell = z.infer<typeof AskedCell>;

const cell = {
  key: text("name of the cell in file names"),
  label: text("what tells it from the others"),
  asked: AskedCell,
  protocol: SettingProtocol,
  cost: SettingCost,
};

/** results.json of `mxoss eval gsm8k`. */
export const Gsm8kResults = z.strictObject({
  ...head("eval.gsm8k"),
  protocol: z.strictObject({
    data: z.strictObject({ ...file, problems: count("problems in the file"), asked: count("problems asked") }).describe(
      "the problems",
    ),
    prompt: z.strictObject({
      format: text("chat, chat-lm-eval or completion"),
      template: text("where the chat format comes from"),
      system: z.string().nullable().describe("system message"),
      reasoning: z.string().nullable().describe("reasoning effort"),
      date: text("day that the template is told"),
      shots: z.array(z.strictObject({ index: count("problem"), question: text("its question") })).describe(
        "examples before the question, in order",
      ),
      shots_from: z.strictObject(file).nullable().describe("file of the examples"),
      seed: count("seed of their choice"),
    }).describe("how a problem is asked"),
    decoding: z.strictObject({
      method: z.literal("greedy").describe("the likeliest token"),
      max_tokens: count("most tokens of a reply"),
      stop_ids: z.array(z.int()).describe("tokens that end a reply"),
      stop_texts: z.array(z.string()).describe("texts that end a reply"),
    }).describe("how a reply is made"),
    scoring: text("how it is scored"),
  }).describe("what made the numbers; what differs between cells is in each cell"),
  bandwidth: Bandwidth,
  cells: z.array(z.strictObject({
    ...cell,
    filters: z.strictObject(
      Object.fromEntries(FILTERS.map((f) => [f, Accuracy])) as Record<typeof FILTERS[number], typeof Accuracy>,
    )
      .describe("accuracy by each filter"),
    prompt_tokens: count("tokens of all prompts"),
    generated_tokens: count("tokens of all replies"),
    ends: z.strictObject({ stop: count("by a stop token"), text: count("by a stop text"), length: count("cut off") })
      .describe("how replies ended"),
    without_final: count("replies that were scored whole for lack of a final channel"),
    reliability: z.array(z.strictObject({
      problems: count("problems of the bin"),
      confidence: z.number().describe("mean probability of the whole reply"),
      accuracy: share("share of them that the flexible filter finds right"),
    })).describe("problems in bins of equal size by the probability that the model gave its own reply"),
  })).describe("the settings, in the order of the matrix"),
  comparisons: z.array(z.strictObject({
    key: text("the cell that is compared with the first"),
    pairs: z.array(Pair).describe("by each filter"),
  })).describe("every further cell against the first, on the same problems"),
  divergences: z.array(z.strictObject({
    key: text("the cell that is compared with the first"),
    predictions: PredictionsResult.describe("A is the first cell"),
    stopped: Stopped,
    divergence: DivergenceResult.describe("operation by operation, on the first sequences of them"),
  })).describe("every further cell against the first, teacher-forced on the first one's replies"),
  ranking: Ranking,
});
/** results.json of `mxoss eval gsm8k`. */
export type Gsm8kResults = z.infer<typeof Gsm8kResults>;

/** results.json of `mxoss eval perplexity`. */
export const PerplexityResults = z.strictObject({
  ...head("eval.perplexity"),
  protocol: z.strictObject({
    text: z.strictObject({
      ...file,
      bytes: count("bytes of the part that was used"),
      tokens: count("tokens used"),
      sequence_length: count("tokens of a sequence"),
    }).describe("what was predicted; special tokens that it spells out count as such"),
  }).describe("what made the numbers; what differs between cells is in each cell"),
  bandwidth: Bandwidth,
  cells: z.array(z.strictObject({
    ...cell,
    predicted: count("tokens predicted"),
    nll: number("mean negative log probability of a token, in nats"),
    perplexity: number("e to that"),
    bits_per_byte: number("negative log probability in bits over bytes of text"),
  })).describe("the settings, in the order of the matrix"),
  comparisons: z.array(z.strictObject({
    key: text("the cell that is compared with the first"),
    nll_increase: estimated("negative log probability per token, this cell minus the first, in nats"),
  })).describe("every further cell against the first, on the same tokens"),
  divergences: z.array(z.strictObject({
    key: text("the cell that is compared with the first"),
    predictions: PredictionsResult.describe("A is the first cell"),
    stopped: Stopped,
    divergence: DivergenceResult.describe("operation by operation, on the first sequences of them"),
  })).describe("every further cell against the first, on the text"),
  ranking: Ranking,
});
/** results.json of `mxoss eval perplexity`. */
export type PerplexityResults = z.infer<typeof PerplexityResults>;
