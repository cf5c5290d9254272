/** `/v1/models`: which models are served. */
import { z } from "zod";
import type { ServedModel } from "../engine/service.ts";
import { endpoint } from "../http/endpoint.ts";

const Model = z.strictObject({
  id: z.string(),
  object: z.literal("model"),
  created: z.int(),
  owned_by: z.string(),
  max_model_len: z.int(),
});

function modelJson({ name, created, limits }: ServedModel): z.infer<typeof Model> {
  return { id: name, object: "model", created, owned_by: "mxoss", max_model_len: limits.context };
}

export const MODELS = [
  endpoint({
    method: "GET",
    path: "/v1/models",
    summary: "the models that are served",
    body: null,
    response: z.strictObject({ object: z.literal("list"), data: z.array(Model) }),
    handle: ({ service }) => ({ json: { object: "list", data: service.models.map(modelJson) } }),
  }),
  endpoint({
    method: "GET",
    path: "/v1/models/:id{.+}",
    summary: "one of them",
    body: null,
    response: Model,
    handle: ({ service, params }) => ({ json: modelJson(service.model(params["id"])) }),
  }),
];
