/** The form of a comparison of two settings, operation by operation, in `results.json`. */
import { z } from "zod";
import { PredictionsResult } from "./predictions_schema.ts";
import { count, interval, number, share, text } from "./schema_fields.ts";

const ErrorSummary = {
  relative_error: number("||B - A|| / ||A|| over all elements; null if it is not finite"),
  interval: z.strictObject(interval).nullable().describe(
    "its 95% interval; null where there are too few tokens for one",
  ),
  sqnr_db: number("signal to quantization noise, 10 log10(||A||^2 / ||B - A||^2); null where the two are equal"),
  max_error: number("largest |B - A|"),
  non_finite: count("elements that are NaN or infinite on one side only"),
};

const shareInterval = (of: string) =>
  z.strictObject(interval).nullable().optional().describe(
    `95% interval of the share of elements in ${of}; null where there are none; files of earlier versions have none`,
  );

const errorInterval = z.strictObject(interval).nullable().optional().describe(
  "its 95% interval; null where there are too few tokens for one; files of earlier versions have none",
);

const INTERVALS = {
  flushed_interval: shareInterval("flushed"),
  at_max_interval: shareInterval("at_max"),
  clipped_interval: shareInterval("clipped"),
};

const Counts = z.strictObject({
  format: text("what the tensor goes through"),
  scale: number("scale of the whole tensor, where there is one"),
  elements: count("elements seen"),
  clipped: count("elements beyond the format's largest number"),
  at_max: count("elements that become the format's largest number, clipped ones included"),
  flushed: count("elements that are not zero and become zero"),
  ...INTERVALS,
  error: number("relative error of quantize-dequantize (of the first 64 rows in files without error_interval)"),
  error_interval: errorInterval,
});

const InputShares = z.strictObject({
  format: text("what it goes through"),
  relative_error: number(
    "error of quantize-dequantize (of the first 64 rows in files without relative_error_interval)",
  ),
  relative_error_interval: errorInterval,
  flushed: share("share that is not zero and becomes zero"),
  at_max: share("share that becomes the format's largest number"),
  clipped: share("share beyond the format's largest number"),
  ...INTERVALS,
});

const changed = (what: string) => ({
  scales_changed: share(`share of the scales of the ${what} that differ; null where the formats do`).nullable(),
  codes_changed: share(`share of the codes of the ${what} that differ; null where the formats do`).nullable(),
});

const changedInterval = (of: string) =>
  z.strictObject(interval).nullable().optional().describe(
    `95% interval of ${of}; null where there is none; files of earlier versions, which looked at 64 rows, have none`,
  );

const CHANGED_INTERVALS = {
  scales_changed_interval: changedInterval("scales_changed"),
  codes_changed_interval: changedInterval("codes_changed"),
};

const Place = { layer: z.int().describe("layer"), operation: text("operation, or the linear whose input it is") };

const LargestPlace = z.strictObject({
  what: z.enum(["own_error", "total_error", "input_error", "input_to_zero"]).describe(
    "relative errors of operations; of quantizing the inputs of linears, and the share of these that becomes zero, " +
      "both of B, or of A where only that quantizes them and layers of one linear are compared",
  ),
  among: text(
    "the operation or linear whose layers are compared, or `layer 3`, whose operations are; null: all of them",
  ).nullable(),
  ...Place,
  low: number("lower end of a 95% interval that allows for the choice: of what is there, and of the largest there is"),
  high: number("upper end; null where the data do not bound it"),
  others: z.array(z.strictObject(Place)).describe(
    "those that a paired test, corrected by Holm, does not tell from it; the largest first",
  ),
});

const PooledShare = z.strictObject({
  what: z.enum(["to_zero", "at_max"]).describe("share that becomes zero, or the format's largest number"),
  operation: text("the linear"),
  value: share("the share"),
  ...interval,
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
    hints: z.array(z.string()).describe("what is known besides; shares and errors with their 95% intervals"),
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
    })).describe("channels that stand out among the tokens at hand; of others nothing is said: there are no intervals"),
  })).describe("every operation of every layer, in the order of the pass"),
  router: z.strictObject({
    decisions: count("tokens times layers"),
    flipped: count("decisions for another set of experts"),
    interval: z.strictObject(interval).nullable().optional().describe(
      "95% interval of their share; null where there are no tokens; files of earlier versions have none",
    ),
    per_layer: z.array(z.number()).describe("share of tokens that flipped, by layer"),
    per_layer_intervals: z.array(z.strictObject(interval).nullable()).optional().describe(
      "95% intervals of these shares; null where there are no tokens; files of earlier versions have none",
    ),
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
    ...changed("tensor"),
    ...CHANGED_INTERVALS,
  })).describe("GEMM inputs and cached keys and values that are quantized on either side"),
  largest: z.array(LargestPlace).optional().describe(
    "where the most is, and how sure that is, of what is above 0 and finite; files of earlier versions have none",
  ),
  pooled: z.array(PooledShare).optional().describe(
    "shares of the inputs of linears in all layers together: of B, or of A where only that quantizes them; files of " +
      "earlier versions have none",
  ),
  projections: z.array(z.strictObject({
    layer: z.int().describe("layer; the number of layers for the head"),
    operation: text("the linear"),
    weights: z.strictObject({
      format_a: text("format under A; several are joined by +"),
      format_b: text("format under B"),
      relative_error: number("||B - A|| / ||A|| over all weights, of experts all together"),
      ...changed("weights"),
      flushed: share("share that is not zero under A and zero under B"),
      at_max: share("share that has the largest magnitude of B's format; null of plain numbers or equal files")
        .nullable(),
    }).describe("what the settings multiply by"),
    input: z.strictObject({
      a: InputShares.nullable().describe("under A; null where it is not quantized"),
      b: InputShares.nullable().describe("under B; null where it is not quantized"),
      ...changed("input"),
      ...CHANGED_INTERVALS,
      outlier_channels: count(
        "channels whose RMS is four times that of the tensor or more, eight at most; of the tokens at hand",
      ),
      loudest: z.number().describe(
        "RMS of the loudest of them over that of the tensor, likewise; 0 where there is none",
      ),
    }).describe("what they multiply"),
    output: z.strictObject({
      own: number("relative error on equal inputs; null where unknown"),
      total: number("relative error with everything that came before"),
    }).describe("the products"),
  })).describe("where the error comes from: every linear of every layer, the head last"),
});
/** The comparison of two settings, as results hold it. */
export type DivergenceResult = z.infer<typeof DivergenceResult>;
