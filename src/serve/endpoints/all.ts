/** All endpoints of the server. */
import type { Service } from "../engine/service.ts";
import type { Endpoint } from "../http/endpoint.ts";
import { openApiEndpoint } from "../http/openapi.ts";
import { microscopeEndpoints } from "../microscope/endpoints.ts";
import { PAGE_ENDPOINT } from "../page/endpoint.ts";
import { CHAT } from "./chat.ts";
import { COMPLETIONS } from "./completions.ts";
import type { Metrics } from "./metrics.ts";
import { MODELS } from "./models.ts";
import { responseEndpoints } from "./responses.ts";
import { stateEndpoints } from "./state.ts";
import { TOKENS } from "./tokens.ts";

/** @param version Of the program. */
export function allEndpoints(service: Service, metrics: Metrics, version: string): Endpoint[] {
  const endpoints: Endpoint[] = [
    PAGE_ENDPOINT,
    ...MODELS,
    COMPLETIONS,
    CHAT,
    ...responseEndpoints(),
    ...TOKENS,
    ...microscopeEndpoints(),
    ...stateEndpoints(version),
    metrics.endpoint(service),
  ];
  // The document is made when it is asked for, and has itself too.
  endpoints.push(openApiEndpoint(endpoints, version));
  return endpoints;
}
