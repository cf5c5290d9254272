/** What load balancers and clients ask before anything else: whether the server is well, and what it is. */
import { z } from "zod";
import { ApiError } from "../api_error.ts";
import { type Endpoint, endpoint } from "../http/endpoint.ts";

/** @param version Of the program. */
export function stateEndpoints(version: string): Endpoint[] {
  const health = (path: string) =>
    endpoint({
      method: "GET",
      path,
      summary: "200 where requests can be answered",
      body: null,
      response: z.strictObject({ status: z.literal("ok") }),
      open: true,
      handle: ({ service }) => {
        const broken = service.models.find((model) => service.load(model).broken !== null);
        if (broken !== undefined) {
          throw new ApiError(503, `${broken.name}: ${service.load(broken).broken}`, { code: "broken" });
        }
        return { json: { status: "ok" } };
      },
    });
  return [
    health("/health"),
    health("/ping"),
    endpoint({
      method: "GET",
      path: "/version",
      summary: "the program's version",
      body: null,
      response: z.strictObject({ version: z.string() }),
      open: true,
      handle: () => ({ json: { version } }),
    }),
  ];
}
