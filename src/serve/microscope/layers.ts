/** Where in the pass two models begin to differ, at one token. */
import type { TapPoint } from "../../model/gpt_oss.ts";
import { operation, type TappedOperation } from "../../model/operations.ts";
import { klDivergence } from "../../session/likelihood.ts";
import type { Job } from "../engine/job.ts";
import type { ServedModel, Service } from "../engine/service.ts";
import type { LayersResponse } from "./schema.ts";

/** What one model computes at a token. */
interface Trace {
  /** Results [width] whose rows are tokens, by layer and operation. */
  readonly results: ReadonlyMap<string, Float32Array>;
  /** Chosen experts by layer. */
  readonly experts: readonly number[][];
  readonly logits: Float32Array;
}

/**
 * Compares two models on the last of some tokens: each computes on its own, so that errors grow from layer to layer as
 * they do in use.
 *
 * @throws {ApiError} what {@linkcode Service.submit} throws.
 */
export async function compareLayers(
  service: Service,
  [a, b]: readonly [ServedModel, ServedModel],
  job: Pick<Job, "prompt" | "client" | "requestId" | "signal">,
): Promise<LayersResponse> {
  const left = await trace(service, a, job), right = await trace(service, b, job);
  const errorOf = (key: string) => relativeError(left.results.get(key)!, right.results.get(key)!);
  const layers = left.experts.map((experts, layer) => ({
    layer,
    errors: Object.fromEntries(
      [...left.results.keys()].filter((key) => key.startsWith(`${layer} `)).map((key) => [
        key.slice(`${layer} `.length),
        errorOf(key),
      ]),
    ),
    experts: [experts, right.experts[layer]!] as [number[], number[]],
  }));
  return {
    embed: errorOf(keyOf(-1, "embed")),
    layers,
    final_norm: errorOf(keyOf(left.experts.length, "finalNorm")),
    kl: klDivergence(left.logits, right.logits),
  };
}

async function trace(
  service: Service,
  model: ServedModel,
  job: Pick<Job, "prompt" | "client" | "requestId" | "signal">,
): Promise<Trace> {
  const results = new Map<string, Float32Array>(), experts: number[][] = [];
  let logits = new Float32Array(0);
  const generation = service.submit(model, {
    ...job,
    maxTokens: 0,
    stopIds: new Set(),
    sampling: {},
    logprobs: null,
    echo: false,
    probe: {
      from: job.prompt.length - 1,
      logits: (_position, row) => logits = row.slice(),
      tap: (point: TapPoint) => {
        if (point.operation === "route") experts[point.layer] = Array.from(point.experts!());
        else if (operation(point.operation).rows === "token") {
          results.set(keyOf(point.layer, point.operation), point.read());
        }
      },
    },
  });
  await generation.prompt;
  return { results, experts, logits };
}

function keyOf(layer: number, name: TappedOperation): string {
  return `${layer} ${name}`;
}

/** |b - a| / |a|; null where a is zero throughout. */
function relativeError(a: Float32Array, b: Float32Array): number | null {
  let difference = 0, size = 0;
  for (let i = 0; i < a.length; i++) {
    difference += (b[i]! - a[i]!) ** 2;
    size += a[i]! ** 2;
  }
  return size === 0 ? null : Math.sqrt(difference / size);
}
