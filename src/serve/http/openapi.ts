/** The OpenAPI document, made of the schemas that requests are validated with. */
import { z } from "zod";
import { type Endpoint, endpoint } from "./endpoint.ts";

const ErrorBody = z.strictObject({
  error: z.strictObject({
    message: z.string(),
    type: z.string(),
    param: z.string().nullable(),
    code: z.string().nullable(),
  }),
});

type Json = Record<string, unknown>;

/** The document for some endpoints. */
function openApi(endpoints: readonly Endpoint[], version: string): Json {
  const paths: Record<string, Json> = {};
  for (const one of endpoints) {
    // Hono's `:id{.+}` is OpenAPI's `{id}`.
    const path = one.path.replaceAll(/:(\w+)(?:\{[^}]*\})?/g, "{$1}");
    (paths[path] ??= {})[one.method.toLowerCase()] = operation(one);
  }
  return {
    openapi: "3.1.0",
    info: { title: "mxoss serve", version, license: { name: "Apache-2.0", identifier: "Apache-2.0" } },
    paths,
    components: { securitySchemes: { apiKey: { type: "http", scheme: "bearer" } } },
  };
}

function operation({ path, summary, body, response, streams, open }: Endpoint): Json {
  const names = Array.from(path.matchAll(/:(\w+)/g), ([, name]) => name!);
  const content: Json = {
    ...(response === null
      ? {}
      : typeof response === "string"
      ? { [response]: {} }
      : { "application/json": { schema: schemaOf(response, "output") } }),
    ...(streams === true ? { "text/event-stream": {} } : {}),
  };
  return {
    summary,
    ...(names.length === 0 ? {} : {
      parameters: names.map((name) => ({ name, in: "path", required: true, schema: { type: "string" } })),
    }),
    ...(body === null ? {} : {
      requestBody: { required: true, content: { "application/json": { schema: schemaOf(body, "input") } } },
    }),
    responses: {
      200: { description: "the answer", content },
      default: { description: "an error", content: { "application/json": { schema: schemaOf(ErrorBody, "output") } } },
    },
    // Keys are asked for only where the server was given some.
    security: open === true ? [] : [{ apiKey: [] }, {}],
  };
}

function schemaOf(schema: z.ZodType, io: "input" | "output"): Json {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: "any" }) as Json;
  return rest;
}

/** `/openapi.json` of some endpoints, made when it is asked for. */
export function openApiEndpoint(endpoints: readonly Endpoint[], version: string): Endpoint {
  let made: Json | null = null;
  return endpoint({
    method: "GET",
    path: "/openapi.json",
    summary: "this document",
    body: null,
    response: z.record(z.string(), z.unknown()),
    open: true,
    handle: () => ({ json: made ??= openApi(endpoints, version) }),
  });
}
