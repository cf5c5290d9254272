/** What load balancers and clients ask before anything else: whether the server is well, and what it is. */
import { z } from "zod";
import { ApiError } from "../api_error.ts";
import { type Endpoint, endpoint } from "../http/endpoint.ts";

/** How full the pages of a model are. */
const PAGES = z.strictObject({
  pages: z.int(),
  used: z.int().describe("those that sequences have, finished ones included"),
  preemptions: z.int().describe("how often a sequence gave its pages to older ones"),
});

/** @param version Of the program. */
export function stateEndpoints(version: string): Endpoint[] {
  const health = (path: string) =>
    endpoint({
      method: "GET",
      path,
      summary: "200 where requests can be answered",
      body: null,
      response: z.strictObject({ status: z.literal("ok"), kv_pages: z.record(z.string(), PAGES).optional() }),
      open: true,
      handle: ({ service }) => {
        const broken = service.models.find((model) => service.load(model).broken !== null);
        if (broken !== undefined) {
          throw new ApiError(503, `${broken.name}: ${service.load(broken).broken}`, { code: "broken" });
        }
        const shared = service.models.flatMap((model) => {
          const { pages } = service.load(model);
          return pages === null ? [] : [[model.name, pages] as const];
        });
        return { json: { status: "ok", ...(shared.length === 0 ? {} : { kv_pages: Object.fromEntries(shared) }) } };
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
