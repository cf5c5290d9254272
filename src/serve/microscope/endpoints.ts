/** `/v1/microscope`: one prompt under two or more schemes, side by side. */
import { ChatRenderer } from "../../text/chat.ts";
import { decode } from "../../text/stream_decoder.ts";
import { ApiError, wrongField } from "../api_error.ts";
import type { ServedModel, Service } from "../engine/service.ts";
import { type Call, endpoint, type ServerEvent } from "../http/endpoint.ts";
import { refuseLongPrompt, refuseLongText } from "../text/prompt_length.ts";
import { beginComparison, compared, type Comparison } from "./compare.ts";
import { compareLayers } from "./layers.ts";
import { DEFAULT_TOKENS, LayersRequest, LayersResponse, MicroscopeRequest, type PromptEvent } from "./schema.ts";

/** The endpoints of the microscope. One comparison runs at a time: it holds the logits of a whole reply. */
export function microscopeEndpoints() {
  let busy = false;
  return [
    endpoint({
      method: "POST",
      path: "/v1/microscope",
      summary: "a reply under several models, token by token: events prompt, token, compared, end",
      body: MicroscopeRequest,
      response: null,
      streams: true,
      handle: async (call: Call<MicroscopeRequest>) => {
        const { body, service, client, requestId, signal } = call, models = comparable(service, body.models);
        const prompt = await promptOf(models[0]!, body), most = mostTokens(models[0]!, prompt.length, body);
        const reply = replyOf(models[0]!, body, most);
        const comparison: Comparison = {
          service,
          models,
          prompt,
          reply,
          maxTokens: reply?.length ?? most,
          top: body.top,
          job: { client, requestId, signal },
        };
        if (busy) throw new ApiError(429, "another comparison is running", { code: "busy", retryAfter: 5 });
        const reference = beginComparison(comparison);
        busy = true;
        const data: PromptEvent = { text: decode(models[0]!.tokenizer, prompt, "keep"), ids: [...prompt] };
        const events = async function* (): AsyncGenerator<ServerEvent> {
          yield { event: "prompt", data };
          yield* compared(comparison, reference);
        };
        return {
          events: released(events(), () => {
            reference.generation.cancel();
            busy = false;
          }),
          done: false,
        };
      },
    }),
    endpoint({
      method: "POST",
      path: "/v1/microscope/layers",
      summary: "relative errors of two models, operation by operation, at the last of some tokens",
      body: LayersRequest,
      response: LayersResponse,
      handle: async ({ body, service, client, requestId, signal }) => {
        const models = comparable(service, body.models) as [ServedModel, ServedModel];
        const prompt = Int32Array.from(body.tokens);
        return { json: await compareLayers(service, models, { prompt, client, requestId, signal }) };
      },
    }),
  ];
}

/** Events, with something to do when they end or nobody wants them, whether or not the first was taken. */
function released(events: AsyncGenerator<ServerEvent>, release: () => void): AsyncIterable<ServerEvent> {
  return {
    [Symbol.asyncIterator]: () => ({
      next: async () => {
        try {
          const result = await events.next();
          if (result.done) release();
          return result;
        } catch (thrown) {
          release();
          throw thrown;
        }
      },
      return: async () => {
        release();
        await events.return(undefined);
        return { done: true, value: undefined };
      },
    }),
  };
}

/** @throws {ApiError} where their tokens or layers are not the same. */
function comparable(service: Service, names: readonly string[]): ServedModel[] {
  const models = names.map((name) => service.model(name)), [first] = models as [ServedModel];
  for (const { name, config } of models) {
    for (const size of ["vocab", "layers"] as const) {
      if (config[size] === first.config[size]) continue;
      const both = `${first.name} has ${size} ${first.config[size]} and ${name} ${config[size]}`;
      throw wrongField("models", `expected models of one shape, but ${both}`);
    }
  }
  return models;
}

async function promptOf(
  model: ServedModel,
  { prompt, raw, reasoning_effort: reasoning }: MicroscopeRequest,
): Promise<Int32Array> {
  const { textDirectory, tokenizer, now } = model;
  refuseLongPrompt(model, prompt.trim().length, "prompt");
  if (raw) return await tokenizer.encodeByTurns(prompt);
  const renderer = await ChatRenderer.fromDirectory(textDirectory, tokenizer);
  const messages = [{ role: "user" as const, content: prompt }];
  const request = {
    messages,
    ...(reasoning === undefined ? {} : { reasoning }),
    ...(now === undefined ? {} : { now }),
  };
  return (await renderer.renderByTurns(request)).ids;
}

/** Tokens of a reply at most: as the request says, or the default as far as it is allowed. */
function mostTokens({ limits }: ServedModel, prompted: number, { max_tokens: asked }: MicroscopeRequest): number {
  return asked ?? Math.max(1, Math.min(DEFAULT_TOKENS, limits.maxTokens, limits.context - prompted));
}

/** @throws {ApiError} where a given reply is longer than `most`, its `max_tokens`. */
function replyOf({ tokenizer }: ServedModel, { reply }: MicroscopeRequest, most: number): Int32Array | null {
  if (reply === undefined) return null;
  refuseLongText(reply.length, "reply");
  const ids = tokenizer.encodeSegments(tokenizer.split(reply));
  if (ids.length > most) throw wrongField("reply", `expected at most max_tokens = ${most} tokens, got ${ids.length}`);
  return ids;
}
