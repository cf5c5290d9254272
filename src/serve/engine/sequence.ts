/** A sequence on its way: what of its prompt is computed, and how its next token is chosen. */
import type { Tap } from "../../model/gpt_oss.ts";
import { likeliestTokens, logSumExp } from "../../session/likelihood.ts";
import type { Sampling } from "../../model/engine.ts";
import { Sampler } from "../../session/sampler.ts";
import type { Feed } from "../../session/batch.ts";
import { ApiError } from "../api_error.ts";
import { Stream } from "./generation.ts";
import type { Observer } from "./observer.ts";
import type { FinishReason, Job, Outcome, ScoredToken } from "./job.ts";

/** A job that waits or runs. */
export class Sequence {
  readonly stream: Stream;
  /** Whether its slot has what it shares with others. */
  begun = false;
  /** Tokens of the prompt that are in the cache. */
  fed = 0;
  /** Tokens of the prompt that were there when it got its slot. */
  cached = 0;
  /** Whether it is to end before the next batch, as nobody wants its tokens or by an error. */
  ending: "cancelled" | Error | null = null;

  /** Its place among all that got a slot, the first one's being 0; null: it had none yet. */
  age: number | null = null;

  /** What it had computed when its slot was taken away, and how much of it has been computed once more. */
  #again: { readonly tokens: Int32Array; done: number } | null = null;
  readonly #sampler: Sampler;
  readonly #observer: Observer;
  readonly #queued = performance.now();
  #started: number | null = null;
  #prefilled: number | null = null;
  /** Scores of the prompt's tokens, where they are wanted: those of the tokens in the cache and of one more. */
  #prompt: ScoredToken[] = [];
  #next = -1;
  /** When the last token was chosen. */
  #chosenAt = 0;
  #generated = 0;

  /** @param onChange Called when it is to end. */
  constructor(readonly job: Job, observer: Observer, onChange: () => void) {
    this.#observer = observer;
    this.#sampler = new Sampler(job.sampling, job.prompt);
    this.stream = new Stream(() => {
      this.ending ??= "cancelled";
      onChange();
    });
    if (job.echo) this.#prompt.push({ id: job.prompt[0]!, logProbability: null, top: [] });
  }

  /** Ends it as its job's signal says, which has fired. */
  cancel(): void {
    const reason: unknown = this.job.signal?.reason;
    if (reason instanceof ApiError) this.ending ??= reason;
    this.stream.cancel();
  }

  /** It has a slot, which may still be filled. */
  start(): void {
    this.#started ??= performance.now();
  }

  /**
   * It has lost its slot: what it had computed is computed once more before it goes on.
   *
   * @param tokens Those in the cache.
   */
  preempt(tokens: readonly number[]): void {
    this.begun = false;
    if (this.#again !== null) this.#again.done = 0;
    else if (tokens.length > 0) this.#again = { tokens: Int32Array.from(tokens), done: 0 };
  }

  /** Positions that it has, or will have when its prompt is computed. */
  get length(): number {
    return this.job.prompt.length + this.#generated;
  }

  /**
   * It can be computed from now on.
   *
   * @param cached Tokens of its prompt in the cache.
   * @param from Whose they are, with their scores.
   */
  begin(cached: number, from: Sequence | null): void {
    this.begun = true;
    if (this.#again !== null) {
      this.#again.done = cached;
      return;
    }
    this.fed = this.cached = cached;
    if (this.job.echo && cached > 0) this.#prompt = this.#prompt.concat(from!.#prompt.slice(1, cached + 1));
  }

  /** How many tokens its prompt and another's begin with in common. */
  common({ job: { prompt } }: Sequence): number {
    const own = this.job.prompt, end = Math.min(own.length, prompt.length);
    let common = 0;
    while (common < end && own[common] === prompt[common]) common++;
    return common;
  }

  /**
   * The tokens of its prompt whose keys and values may be those of another sequence, and one more. Where its tokens are
   * scored the other must have scored them as well.
   *
   * @param holder Whose keys and values they are.
   */
  reusable(holder: Sequence | null): Int32Array {
    const { prompt, echo, probe } = this.job;
    if (holder !== null && !this.#isSaltedAs(holder)) return prompt.subarray(0, 0);
    if (this.#again !== null) return this.#again.tokens;
    if (!echo) return probe === undefined ? prompt : prompt.subarray(0, probe.from + 1);
    const scored = holder !== null && this.#scoredBy(holder);
    return prompt.subarray(0, scored ? Math.min(this.common(holder), holder.#prompt.length) : 0);
  }

  /** Positions of its prompt whose keys and values can be another's, once that has computed them. */
  overlap(other: Sequence): number {
    const { echo, probe } = this.job;
    if (!this.#isSaltedAs(other) || (echo && !this.#scoredBy(other))) return 0;
    return Math.min(this.common(other), probe === undefined ? Infinity : probe.from + 1);
  }

  /** Whether what is computed for one may be used for the other. */
  #isSaltedAs({ job: { salt } }: Sequence): boolean {
    return salt === this.job.salt;
  }

  /** Whether another scores its prompt as this one's is to be. */
  #scoredBy({ job: { echo, logprobs } }: Sequence): boolean {
    return echo && logprobs === this.job.logprobs;
  }

  /** Tokens that are still to be computed, for the first time or again, before it generates. */
  get promptLeft(): number {
    const again = this.#again === null ? 0 : this.#again.tokens.length - this.#again.done;
    return again + this.job.prompt.length - this.fed;
  }

  /** Whether its prompt, and what it had generated, are in the cache. */
  get decodes(): boolean {
    return this.promptLeft === 0;
  }

  /** Whether the engine may pick its tokens: the likeliest, of which nothing else is asked. */
  get pickable(): boolean {
    return this.drawable && (this.job.sampling.temperature ?? 0) === 0;
  }

  /** Whether the engine may choose its tokens, of which nothing else is asked. */
  get drawable(): boolean {
    const { logprobs, mask, probe, minTokens = 0 } = this.job;
    return this.#generated >= minTokens && logprobs === null && mask === undefined && probe === undefined &&
      this.#sampler.sampling !== undefined;
  }

  /** How an engine chooses the next tokens. */
  sampling(tokens: number): Sampling {
    return this.#sampler.sampling!(tokens);
  }

  /** Takes notice that an engine chose tokens. */
  skip(tokens: number): void {
    this.#sampler.skip(tokens);
  }

  /** The last token that was chosen, which is not in the cache yet. */
  get last(): number {
    return this.#next;
  }

  /** Tokens that may still be chosen. */
  get tokensLeft(): number {
    return this.job.maxTokens - this.#generated;
  }

  /** Who looks at intermediate results of what it wants computed next: nothing else is in that batch. */
  get tap(): Tap | undefined {
    const { probe } = this.job;
    return probe !== undefined && this.#again === null && this.fed >= probe.from ? probe.tap : undefined;
  }

  /** What it wants computed next, at most `room` tokens. */
  feed(slot: number, room: number): Feed {
    if (this.#again !== null) {
      const { tokens, done } = this.#again;
      return { slot, tokens: tokens.subarray(done, done + room), logits: "none" };
    }
    if (this.decodes) return { slot, tokens: [this.#next], logits: "last" };
    const { prompt, echo, maxTokens, probe } = this.job;
    const seen = probe !== undefined && this.fed >= probe.from;
    // Logits of what comes before are not computed, and no batch begins unseen and ends seen.
    const most = probe === undefined || seen ? room : Math.min(room, probe.from - this.fed);
    const tokens = prompt.subarray(this.fed, this.fed + most);
    const last = this.fed + tokens.length === prompt.length;
    return { slot, tokens, logits: echo || seen ? "all" : last && maxTokens > 0 ? "last" : "none" };
  }

  /** Takes logits [V] after a position: they score a token of the prompt, or the next token is chosen from them. */
  take(position: number, logits: Float32Array): FinishReason | null {
    const { prompt, maxTokens, echo, probe } = this.job;
    if (probe !== undefined && position >= probe.from) probe.logits?.(position, logits);
    if (position + 1 < prompt.length) {
      if (echo) this.#prompt.push(this.#score(prompt[position + 1]!, logits));
      return null;
    }
    return maxTokens === 0 ? null : this.#choose(logits);
  }

  /** Takes a token that the engine picked. */
  picked(id: number): FinishReason | null {
    return this.#chosen({ id, logProbability: null, top: [] });
  }

  /** Takes notice that a piece of its prompt was computed; says whether it ends with that. */
  computed(tokens: number): FinishReason | null {
    const { prompt, maxTokens } = this.job;
    if (this.#again !== null) {
      this.#again.done += tokens;
      if (this.#again.done === this.#again.tokens.length) this.#again = null;
      return null;
    }
    this.fed = Math.min(prompt.length, this.fed + tokens);
    if (!this.decodes || this.#prefilled !== null) return null;
    this.#prefilled = performance.now();
    this.stream.prompted(this.#prompt);
    return maxTokens === 0 ? "length" : null;
  }

  outcome(reason: FinishReason): Outcome {
    const now = performance.now(), started = this.#started ?? now, prefilled = this.#prefilled ?? now;
    return {
      reason,
      promptTokens: this.job.prompt.length,
      cachedTokens: this.cached,
      generatedTokens: this.#generated,
      timings: { queued: started - this.#queued, prefill: prefilled - started, decode: now - prefilled },
    };
  }

  #choose(logits: Float32Array): FinishReason | null {
    const { mask, logprobs, minTokens = 0 } = this.job;
    // The model's own probabilities: before the mask, which writes into the logits.
    const sum = logprobs === null ? 0 : logSumExp(logits);
    const top = logprobs === null ? [] : topOf(logits, logprobs, sum);
    const before = mask === undefined || logprobs === null ? logits : logits.slice();
    mask?.apply(logits);
    if (this.#generated < minTokens) this.#goOn(logits);
    const id = this.#sampler.sample(logits);
    mask?.push(id);
    return this.#chosen({ id, logProbability: logprobs === null ? null : before[id]! - sum, top });
  }

  /** Excludes what would end the reply; where a mask leaves nothing else, the reply is as long as it can be. */
  #goOn(logits: Float32Array): void {
    const { stopIds, mask } = this.job, ends = [...stopIds].filter((id) => id < logits.length);
    const own = ends.map((id) => logits[id]!);
    for (const id of ends) logits[id] = -Infinity;
    if (mask === undefined || logits.some((logit) => logit > -Infinity)) return;
    ends.forEach((id, i) => logits[id] = own[i]!);
  }

  #chosen(token: ScoredToken): FinishReason | null {
    const { stopIds, maxTokens, watch } = this.job;
    const now = performance.now();
    if (this.#generated === 0) this.#observer.firstToken(now - this.#queued);
    else this.#observer.nextToken(now - this.#chosenAt);
    this.#chosenAt = now;
    this.#next = token.id;
    this.#generated++;
    const stopped = (watch?.(token.id) ?? false) || stopIds.has(token.id);
    this.stream.push(token);
    return stopped ? "stop" : this.#generated >= maxTokens ? "length" : null;
  }

  #score(id: number, logits: Float32Array): ScoredToken {
    const sum = logSumExp(logits);
    return { id, logProbability: logits[id]! - sum, top: topOf(logits, this.job.logprobs ?? 0, sum) };
  }
}

function topOf(logits: Float32Array, count: number, sum: number): [id: number, logProbability: number][] {
  return likeliestTokens(logits, count).map((id) => [id, logits[id]! - sum]);
}
