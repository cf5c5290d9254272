/** `/metrics`: what Prometheus collects. The names are vLLM's, which dashboards ask for, after a prefix of our own. */
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { FinishReason } from "../engine/job.ts";
import type { Observer } from "../engine/observer.ts";
import type { Load, PagesLoad, Service } from "../engine/service.ts";
import { type Endpoint, endpoint } from "../http/endpoint.ts";

/** Bounds of histograms in seconds: from a token of a small model to a reply of a large one that is emulated. */
const TOKEN_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const REQUEST_SECONDS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600];

/** Why sequences end. */
const REASONS: readonly FinishReason[] = ["stop", "length", "cancelled"];

/** Counts what happens. */
export class Metrics {
  readonly #registry = new Registry();
  readonly #promptTokens = this.#counter("prompt_tokens_total", "Tokens of prompts.");
  readonly #generatedTokens = this.#counter("generation_tokens_total", "Tokens that were generated.");
  readonly #cacheQueries = this.#counter("prefix_cache_queries_total", "Tokens of prompts that were looked for.");
  readonly #cacheHits = this.#counter("prefix_cache_hits_total", "Those whose keys and values were there.");
  readonly #success = this.#counter("request_success_total", "Sequences that ended.", ["finished_reason"]);
  readonly #failures = this.#counter("request_failure_total", "Sequences that failed.");
  readonly #preempted = this.#counter("num_preemptions_total", "Sequences whose pages older ones needed.");
  readonly #reopened = this.#counter("engine_restarts_total", "Engines that failed and were opened again.");
  readonly #firstToken = this.#histogram("time_to_first_token_seconds", "From submission on.", REQUEST_SECONDS);
  readonly #interToken = this.#histogram("inter_token_latency_seconds", "Between two tokens.", TOKEN_SECONDS);
  readonly #whole = this.#histogram("e2e_request_latency_seconds", "Of a whole sequence.", REQUEST_SECONDS);
  readonly #queue = this.#histogram("request_queue_time_seconds", "Until it had a slot.", REQUEST_SECONDS);

  /** Watches a model. */
  observer(model_name: string): Observer {
    const labels = { model_name };
    // What has not happened yet is counted as 0: a rate, or an alert, of a metric that is absent says nothing.
    for (const counter of [this.#promptTokens, this.#generatedTokens, this.#cacheQueries, this.#cacheHits]) {
      counter.inc(labels, 0);
    }
    for (const counter of [this.#failures, this.#preempted, this.#reopened]) counter.inc(labels, 0);
    for (const finished_reason of REASONS) this.#success.inc({ ...labels, finished_reason }, 0);
    return {
      // As they come: a reply may take an hour, and it may fail in the end.
      firstToken: (milliseconds) => {
        this.#generatedTokens.inc(labels);
        this.#firstToken.observe(labels, milliseconds / 1000);
      },
      nextToken: (milliseconds) => {
        this.#generatedTokens.inc(labels);
        this.#interToken.observe(labels, milliseconds / 1000);
      },
      ended: ({ reason, promptTokens, cachedTokens, timings }) => {
        this.#promptTokens.inc(labels, promptTokens);
        this.#cacheQueries.inc(labels, promptTokens);
        this.#cacheHits.inc(labels, cachedTokens);
        this.#success.inc({ ...labels, finished_reason: reason });
        this.#queue.observe(labels, timings.queued / 1000);
        this.#whole.observe(labels, (timings.queued + timings.prefill + timings.decode) / 1000);
      },
      failed: () => this.#failures.inc(labels),
      preempted: () => this.#preempted.inc(labels),
      reopened: () => this.#reopened.inc(labels),
    };
  }

  /** The endpoint; how full the models are is read whenever it is asked. */
  endpoint(service: Service): Endpoint {
    const registry = this.#registry;
    const gauge = (name: string, help: string, of: (load: Load) => number) =>
      new Gauge({
        name: `mxoss:${name}`,
        help,
        labelNames: ["model_name"],
        registers: [registry],
        collect() {
          for (const model of service.models) this.set({ model_name: model.name }, of(service.load(model)));
        },
      });
    gauge("num_requests_running", "Sequences that have a slot.", ({ running }) => running);
    gauge("num_requests_waiting", "Sequences that wait for one.", ({ waiting }) => waiting);
    gauge("kv_cache_usage_perc", "Part of the cache that is in use, 0 to 1.", ({ cacheUsage }) => cacheUsage);
    const pages = (of: (load: PagesLoad) => number) => ({ pages }: Load) => pages === null ? 0 : of(pages);
    gauge("kv_pages", "Pages of the cache; 0 where each sequence has a cache of its own.", pages(({ pages }) => pages));
    gauge("kv_pages_used", "Those that sequences have, finished ones included.", pages(({ used }) => used));
    return endpoint({
      method: "GET",
      path: "/metrics",
      summary: "what Prometheus collects",
      body: null,
      response: "text/plain",
      handle: async () => ({ text: await registry.metrics(), contentType: registry.contentType }),
    });
  }

  #counter<L extends string = never>(name: string, help: string, more: readonly L[] = []) {
    const labelNames: ("model_name" | L)[] = ["model_name", ...more];
    return new Counter({ name: `mxoss:${name}`, help, labelNames, registers: [this.#registry] });
  }

  #histogram(name: string, help: string, buckets: number[]) {
    const registers = [this.#registry];
    return new Histogram({ name: `mxoss:${name}`, help, labelNames: ["model_name"] as const, buckets, registers });
  }
}
