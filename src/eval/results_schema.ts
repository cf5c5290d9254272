/**
 * The form of `results.json`, one schema for each command. What a field means is said here once:
 * `docs/report-schema.md` is made from it, and every file is checked against it before it is written.
 *
 * Nothing in it depends on when, how fast or in how many attempts it was computed. Numbers that are not finite are
 * null.
 */
import { z } from "zod";
import { DivergenceResult } from "./divergence_schema.ts";
import { FILTERS } from "./filters.ts";
import { estimated, PredictionsResult, range, RankingResult, Stopped } from "./predictions_schema.ts";
import { count, interval, number, share, text } from "./schema_fields.ts";
import { Bandwidth, CELL_FIELDS, SettingCost, SettingProtocol } from "./setting_schema.ts";

/** Version of the three schemas; it grows when a field changes its meaning or goes away. */
export const SCHEMA_VERSION = 2;

const head = <const K extends string>(kind: K) => ({
  schema: z.literal(`mxoss.${kind}`).describe("which of the schemas"),
  version: z.literal(SCHEMA_VERSION).describe("version of the schema"),
  mxoss: text("version of the program"),
  crc32: text("CRC-32 of the JSON without this last field; files of earlier versions have none").optional(),
});

const Ranking = RankingResult.nullable().describe("how far settings are from the first; null where fewer than two are");

const repeated = share("part of the tokens that stand in 32 in a row which came before").optional();

const file = { name: text("name of the file"), sha256: text("SHA-256 of the file") };

/** results.json of `mxoss compare`. */
export const CompareResults = z.strictObject({
  ...head("compare"),
  protocol: z.strictObject({
    a: SettingProtocol,
    b: SettingProtocol,
    text: z.strictObject({
      ...file,
      tokens: count("tokens used"),
      sequence_length: count("tokens of a sequence"),
      repeated,
    }).describe("what was computed"),
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
  low: share("lower end of the exact 95% interval (Clopper and Pearson)"),
  high: share("upper end of it"),
  outcomes: text("one character per problem: 1 solved, 0 not"),
});

const Pair = z.strictObject({
  filter: z.enum(FILTERS).describe("filter"),
  lost: count("problems that only the first setting solves"),
  gained: count("problems that only this one solves"),
  changed: count("problems whose extracted answer is another one, right or wrong"),
  difference: z.number().describe("accuracy of this setting minus that of the first"),
  ...interval,
  p: share(
    "p-value of their solving equally many (exact unconditional test; McNemar's mid-p in earlier versions)",
  ),
  p_holm: share("the same, corrected for the number of settings (Holm)"),
  detectable: share("smallest true difference that so many problems show with 80% power, corrected likewise"),
});

const divergences = (on: string) =>
  z.array(z.strictObject({
    key: text("the cell that is compared with the first"),
    predictions: PredictionsResult.describe("A is the first cell"),
    stopped: Stopped,
    divergence: DivergenceResult.describe("operation by operation, on the first sequences of them"),
  })).describe(`every further cell against the first, ${on}`);

/** results.json of `mxoss eval gsm8k`. */
export const Gsm8kResults = z.strictObject({
  ...head("eval.gsm8k"),
  protocol: z.strictObject({
    data: z.strictObject({
      ...file,
      problems: count("problems in the file"),
      asked: z.int().min(1).describe("problems asked"),
      repeated: count("of these with the question of an earlier one").optional(),
    }).describe("the problems"),
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
      log_probabilities: z.literal(false).describe(
        "there only where the log probabilities of replies were not kept",
      ).optional(),
    }).describe("how a reply is made"),
    scoring: text("how it is scored"),
  }).describe("what made the numbers; what differs between cells is in each cell"),
  bandwidth: Bandwidth,
  cells: z.array(z.strictObject({
    ...CELL_FIELDS,
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
      confidence: z.number().describe(
        "mean probability of the whole reply, of just these problems: it has no interval",
      ),
      accuracy: share("share of them that the flexible filter finds right"),
      low: share("lower end of its exact 95% interval; files of earlier versions have none").optional(),
      high: share("upper end of it").optional(),
    })).nullable().describe(
      "problems in bins of equal size by the probability that the model gave its own reply; null where " +
        "`decoding.log_probabilities` is false, and only there",
    ),
  })).min(1).describe("the settings, in the order of the matrix"),
  comparisons: z.array(z.strictObject({
    key: text("the cell that is compared with the first"),
    pairs: z.array(Pair).describe("by each filter"),
  })).describe("every further cell against the first, on the same problems"),
  divergences: divergences("teacher-forced on the first one's replies"),
  ranking: Ranking,
}).refine(
  ({ protocol, cells }) => cells.every(({ reliability }) => (reliability !== null) === keepsLogProbabilities(protocol)),
  { path: ["cells"], error: "reliability where log probabilities were kept, and null where they were not" },
);
/** results.json of `mxoss eval gsm8k`. */
export type Gsm8kResults = z.infer<typeof Gsm8kResults>;

/** Whether the log probability of every reply was kept. */
export function keepsLogProbabilities(
  { decoding }: { readonly decoding: { readonly log_probabilities?: false | undefined } },
): boolean {
  return decoding.log_probabilities !== false;
}

/** results.json of `mxoss eval perplexity`. */
export const PerplexityResults = z.strictObject({
  ...head("eval.perplexity"),
  protocol: z.strictObject({
    text: z.strictObject({
      ...file,
      bytes: count("bytes of the part that was used"),
      tokens: count("tokens used"),
      sequence_length: count("tokens of a sequence"),
      repeated,
    }).describe("what was predicted; special tokens that it spells out count as such"),
  }).describe("what made the numbers; what differs between cells is in each cell"),
  bandwidth: Bandwidth,
  cells: z.array(z.strictObject({
    ...CELL_FIELDS,
    predicted: count("tokens predicted"),
    nll: number("mean negative log probability of a token, in nats"),
    perplexity: number("e to that"),
    bits_per_byte: number("nll in bits, times tokens over bytes of the text"),
    nll_interval: range("95% interval of nll").optional(),
    perplexity_interval: range("of perplexity").optional(),
    bits_per_byte_interval: range("of bits_per_byte").optional(),
  })).min(1).describe("the settings, in the order of the matrix"),
  comparisons: z.array(z.strictObject({
    key: text("the cell that is compared with the first"),
    nll_increase: estimated("negative log probability per token, this cell minus the first, in nats"),
  })).describe("every further cell against the first, on the same tokens"),
  divergences: divergences("on the text"),
  ranking: Ranking,
});
/** results.json of `mxoss eval perplexity`. */
export type PerplexityResults = z.infer<typeof PerplexityResults>;
