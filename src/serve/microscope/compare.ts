/**
 * A reply under several models: the first one's own, greedy, or a given one; what each of the others expects at each of
 * its tokens; and how each would have gone on from where it parts. All logits are those of teacher forcing, which for
 * the first token that differs are the same as those of a reply of its own.
 */
import { argmax, klDivergence, likeliestTokens, logSumExp } from "../../session/likelihood.ts";
import type { Tokenizer } from "../../text/tokenizer.ts";
import type { Generation, Job } from "../engine/job.ts";
import type { ServedModel, Service } from "../engine/service.ts";
import type { ServerEvent } from "../http/endpoint.ts";
import { tokenText } from "../text/token_text.ts";
import type { Alternative, ComparedEvent, ComparedToken, TokenEvent } from "./schema.ts";

/** What is compared. */
export interface Comparison {
  readonly service: Service;
  /** The first is the one that the others are compared with. */
  readonly models: readonly ServedModel[];
  readonly prompt: Int32Array;
  /** Given tokens of a reply; null: what the first model replies. */
  readonly reply: Int32Array | null;
  readonly maxTokens: number;
  readonly top: number;
  readonly job: Pick<Job, "client" | "requestId" | "signal">;
}

/** The first model's pass, which was submitted. */
export interface Reference {
  readonly generation: Generation;
  /** Its logits [V] at the tokens of the reply, as far as they are computed. */
  readonly rows: readonly Float32Array[];
}

/**
 * Begins with the first model.
 *
 * @throws {ApiError} what {@linkcode Service.submit} throws.
 */
export function beginComparison({ service, models, prompt, reply, maxTokens, job }: Comparison): Reference {
  const rows: Float32Array[] = [], [first] = models as [ServedModel];
  const probe = { from: prompt.length - 1, logits: (_: number, row: Float32Array) => void rows.push(row.slice()) };
  const generation = service.submit(first, {
    ...greedy(first, reply === null ? prompt : join(prompt, reply.subarray(0, -1)), reply === null ? maxTokens : 0),
    ...job,
    probe,
  });
  return { generation, rows };
}

/** Goes on to the end: events `token` of the reply, then one `compared` for each other model, then `end`. */
export async function* compared(comparison: Comparison, { generation, rows }: Reference): AsyncGenerator<ServerEvent> {
  const { models, prompt, reply, top } = comparison, { tokenizer } = models[0]!;
  const ids: number[] = [];
  const tokenEvent = (id: number): ServerEvent => {
    const index = ids.push(id) - 1, row = rows[index]!;
    const data: TokenEvent = {
      index,
      id,
      text: labelOf(tokenizer, id),
      ...expected(tokenizer, row, id, top),
    };
    return { event: "token", data };
  };
  if (reply === null) { for await (const { id } of generation) yield tokenEvent(id); }
  else {
    await generation.prompt;
    for (const id of reply) yield tokenEvent(id);
  }
  const whole = Int32Array.from(ids);
  for (const model of models.slice(1)) {
    yield { event: "compared", data: await compareModel(comparison, model, join(prompt, whole), rows) };
  }
  yield { event: "end", data: { tokens: ids.length } };
}

async function compareModel(
  { service, prompt, maxTokens, top, job }: Comparison,
  model: ServedModel,
  whole: Int32Array,
  rows: readonly Float32Array[],
): Promise<ComparedEvent> {
  const { tokenizer } = model, tokens: ComparedToken[] = [], reply = whole.subarray(prompt.length);
  const probe = {
    from: prompt.length - 1,
    logits: (_position: number, row: Float32Array) => {
      const index = tokens.length, reference = rows[index]!, seen = expected(tokenizer, row, reply[index]!, top);
      tokens.push({
        kl: klDivergence(reference, row),
        same_top: argmax(reference) === seen.top[0]!.id,
        ...seen,
      });
    },
  };
  await service.submit(model, { ...greedy(model, whole.subarray(0, -1), 0), ...job, probe }).prompt;
  const own: { id: number; text: string }[] = [];
  const parting = tokens.findIndex((token, i) => token.top[0]!.id !== reply[i]);
  if (parting >= 0) {
    const { id } = tokens[parting]!.top[0]!, left = maxTokens - parting - 1;
    const add = (id: number) => void own.push({ id, text: labelOf(tokenizer, id) });
    add(id);
    if (left > 0 && !model.stopIds.has(id)) {
      const start = join(whole.subarray(0, prompt.length + parting), Int32Array.of(id));
      for await (const token of service.submit(model, { ...greedy(model, start, left), ...job })) add(token.id);
    }
  }
  return { model: model.name, tokens, first_divergence: parting < 0 ? null : parting, own };
}

function greedy({ stopIds }: ServedModel, prompt: Int32Array, maxTokens: number) {
  return { prompt, maxTokens, stopIds, sampling: {}, logprobs: null, echo: false } as const;
}

function join(a: Int32Array, b: Int32Array): Int32Array {
  const whole = new Int32Array(a.length + b.length);
  whole.set(a);
  whole.set(b, a.length);
  return whole;
}

/** What logits [V] say of a token and of the likeliest ones, at least one of them. */
function expected(tokenizer: Tokenizer, logits: Float32Array, token: number, count: number) {
  const sum = logSumExp(logits), probability = (id: number) => Math.exp(logits[id]! - sum);
  const top: Alternative[] = likeliestTokens(logits, count).map((id) => ({
    id,
    text: labelOf(tokenizer, id),
    probability: probability(id),
  }));
  return { probability: probability(token), top };
}

/** A special token's name, or a token's text. */
function labelOf(tokenizer: Tokenizer, id: number): string {
  return tokenizer.specialName(id) ?? tokenText(tokenizer, id);
}
