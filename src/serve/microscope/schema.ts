/** What the microscope is asked, and what it answers: one prompt under several schemes, token by token. */
import { z } from "zod";

/** Tokens of a reply that are compared at most: their logits under the first model are held meanwhile. */
export const MOST_TOKENS = 256;
/** And those of a request that does not say how many. */
export const DEFAULT_TOKENS = 64;

/** `POST /v1/microscope`. */
export const MicroscopeRequest = z.strictObject({
  /** Names of models; the first is the one that the others are compared with. */
  models: z.array(z.string()).min(2).max(4),
  /** The user's message, or with `raw` the text itself. */
  prompt: z.string().min(1),
  /** Whether the prompt is taken as it is, without the chat template. */
  raw: z.boolean().default(false),
  reasoning_effort: z.enum(["low", "medium", "high"]).optional(),
  /** Text to judge, special tokens by name; default: what the first model replies, greedily. */
  reply: z.string().min(1).optional(),
  /** Default: 64, or fewer where `--max-reply` or the context leave no more. */
  max_tokens: z.int().min(1).max(MOST_TOKENS).optional(),
  /** Alternatives at each position. */
  top: z.int().min(1).max(20).default(5),
});
/** See {@linkcode MicroscopeRequest}. */
export type MicroscopeRequest = z.infer<typeof MicroscopeRequest>;

/** A token with its probability, which is of the model itself: temperature 1, nothing left out. */
export const Alternative = z.strictObject({ id: z.int(), text: z.string(), probability: z.number() });
/** See {@linkcode Alternative}. */
export type Alternative = z.infer<typeof Alternative>;

/** Event `prompt`: what the models are given. */
export const PromptEvent = z.strictObject({ text: z.string(), ids: z.array(z.int()) });
/** See {@linkcode PromptEvent}. */
export type PromptEvent = z.infer<typeof PromptEvent>;

/** Event `token`: one of the reply, as the first model sees it. */
export const TokenEvent = z.strictObject({
  index: z.int(),
  id: z.int(),
  text: z.string(),
  probability: z.number(),
  top: z.array(Alternative),
});
/** See {@linkcode TokenEvent}. */
export type TokenEvent = z.infer<typeof TokenEvent>;

/** What another model expects where the first one was about to say a token of the reply. */
export const ComparedToken = z.strictObject({
  /** KL(first || this) in nats of the two predictions. */
  kl: z.number(),
  /** Of the reply's token. */
  probability: z.number(),
  /** Whether both find the same token the likeliest. */
  same_top: z.boolean(),
  top: z.array(Alternative),
});
/** See {@linkcode ComparedToken}. */
export type ComparedToken = z.infer<typeof ComparedToken>;

/** Event `compared`: another model on the tokens of the reply. */
export const ComparedEvent = z.strictObject({
  model: z.string(),
  tokens: z.array(ComparedToken),
  /** Index of the first token that this model would not choose; null: it would choose all. */
  first_divergence: z.int().nullable(),
  /** What it says instead from there on, greedily; empty where nothing diverges. */
  own: z.array(z.strictObject({ id: z.int(), text: z.string() })),
});
/** See {@linkcode ComparedEvent}. */
export type ComparedEvent = z.infer<typeof ComparedEvent>;

/** `POST /v1/microscope/layers`. */
export const LayersRequest = z.strictObject({
  models: z.tuple([z.string(), z.string()]),
  /** Prompt and reply up to the token that is looked at. */
  tokens: z.array(z.int().nonnegative()).min(1),
});

/** Relative error of a result, |b - a| / |a| over its columns; null where a is zero throughout. */
const ErrorValue = z.number().nullable();

/** What two models compute at the last token. */
export const LayersResponse = z.strictObject({
  /** The residual stream as it enters the first layer. */
  embed: ErrorValue,
  layers: z.array(z.strictObject({
    layer: z.int(),
    /** By operation, in the order of the pass: those whose rows are tokens. */
    errors: z.record(z.string(), ErrorValue),
    /** Chosen experts of the one model and of the other, that with the largest weight first. */
    experts: z.tuple([z.array(z.int()), z.array(z.int())]),
  })),
  /** What the head multiplies. */
  final_norm: ErrorValue,
  /** KL(a || b) in nats of the next token's predictions. */
  kl: z.number(),
});
/** See {@linkcode LayersResponse}. */
export type LayersResponse = z.infer<typeof LayersResponse>;
