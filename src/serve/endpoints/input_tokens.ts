/** `/v1/responses/input_tokens`: how long a conversation is, before it is answered. */
import { z } from "zod";
import { renderConversation } from "../chat/conversation.ts";
import { namesOf } from "../chat/plan.ts";
import type { ResponseStore } from "../chat/response_store.ts";
import { responseAsk } from "../chat/response_turns.ts";
import { type Endpoint, endpoint } from "../http/endpoint.ts";
import { unsupported } from "../http/fields.ts";
import { ResponseRequest } from "./responses_schema.ts";

/** Fields of a response that decide its prompt, and those that OpenAI takes beside them. */
const InputTokensRequest = z.strictObject({
  ...ResponseRequest.pick({
    model: true,
    input: true,
    instructions: true,
    previous_response_id: true,
    conversation: true,
    tools: true,
    tool_choice: true,
    parallel_tool_calls: true,
    reasoning: true,
    chat_template_kwargs: true,
    text: true,
    truncation: true,
  }).shape,
  personality: unsupported(),
});
/** The body of a request. */
type InputTokensRequest = z.infer<typeof InputTokensRequest>;

/** @param store Of the responses that a request may name. */
export function inputTokens(store: ResponseStore): Endpoint {
  return endpoint<InputTokensRequest>({
    method: "POST",
    path: "/v1/responses/input_tokens",
    summary: "how many tokens the prompt of a response has, also of one that is too long to be answered",
    body: InputTokensRequest,
    response: z.strictObject({ object: z.literal("response.input_tokens"), input_tokens: z.int() }),
    handle: async ({ body, owner, service }) => {
      const { ask: { messages, tools, reasoning, told, field } } = responseAsk(body, store, owner);
      namesOf(tools);
      const asked = { messages, tools, reasoning, format: told, fits: false };
      const { ids } = await renderConversation(service.model(body.model), asked, field);
      return { json: { object: "response.input_tokens", input_tokens: ids.length } };
    },
  });
}
