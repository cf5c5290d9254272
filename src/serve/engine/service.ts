/** The models of a server by name, and jobs for them. */
import type { ModelConfig } from "../../checkpoint/model_config.ts";
import type { Tokenizer } from "../../text/tokenizer.ts";
import type { Generation, Job } from "./job.ts";

/** What one sequence may be. */
export interface ModelLimits {
  /** Positions of a sequence: prompt and reply together. */
  readonly context: number;
  /** Tokens of a prompt. */
  readonly promptTokens: number;
  /** Tokens of a reply. */
  readonly maxTokens: number;
}

/** A model that is served, under a name of its own: one checkpoint in one scheme. */
export interface ServedModel {
  /** For instance `tiny-gpt-oss@w_mxfp4_a_mxfp4`. */
  readonly name: string;
  /** The scheme that replaces the checkpoint's; null: as the checkpoint is. */
  readonly scheme: string | null;
  /** Directory of the tokenizer and the chat template. */
  readonly textDirectory: string;
  readonly config: ModelConfig;
  readonly tokenizer: Tokenizer;
  /** Ids that end a reply of this model. */
  readonly stopIds: ReadonlySet<number>;
  readonly limits: ModelLimits;
  /** The time that chat templates are told; default: the clock's. */
  readonly now?: Date;
  /** When it was loaded, in seconds since 1970. */
  readonly created: number;
}

/** How full the pages are that sequences share. */
export interface PagesLoad {
  readonly pages: number;
  /** Those that sequences have, finished ones that nobody has needed the room of included. */
  readonly used: number;
  /** How often a sequence lost its pages to older ones. */
  readonly preemptions: number;
}

/** How full a model is at the moment. */
export interface Load {
  readonly running: number;
  readonly waiting: number;
  /** Part of the positions set aside that running sequences use, 0 to 1. */
  readonly cacheUsage: number;
  /** The pages that sequences share; null where each has a cache of its own. */
  readonly pages: PagesLoad | null;
  /** Why it computes nothing any more, for instance as a thread died; null while it does. */
  readonly broken: string | null;
}

/** What endpoints have of the engine. */
export interface Service {
  /** In the order in which they were named; the first is the default. */
  readonly models: readonly ServedModel[];
  /**
   * A model by its name; the default one where a client names none.
   *
   * @throws {ApiError} 404 where there is none of this name.
   */
  model(name?: string | null): ServedModel;
  /**
   * Queues a job.
   *
   * @throws {ApiError} 400 where the prompt or the reply is too long or a token is outside the vocabulary; 429 where
   *   the queue is full, with the seconds after which to try again.
   */
  submit(model: ServedModel, job: Job): Generation;
  load(model: ServedModel): Load;
}
