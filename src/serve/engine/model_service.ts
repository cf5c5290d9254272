/** The service over sessions of this process. */
import { counted } from "../../amounts.ts";
import { PAGE_POSITIONS } from "../../model/pages.ts";
import { ApiError, wrongField } from "../api_error.ts";
import type { Session } from "../../session/session.ts";
import type { Generation, Job } from "./job.ts";
import type { Observer } from "./observer.ts";
import { type Reopen, Scheduler, type SchedulerOptions } from "./scheduler.ts";
import type { Load, ServedModel, Service } from "./service.ts";
import { Turns } from "./turns.ts";
import { refuseManyTokens, tooLong } from "../text/prompt_length.ts";

/** A model with the session that computes it. */
export interface LoadedModel {
  readonly model: ServedModel;
  readonly session: Session;
  readonly observer?: Observer;
  /** Opens the session again where its engine fails for good. */
  readonly reopen?: Reopen;
}

/** Serves loaded models; the first is the default. */
export class ModelService implements Service {
  readonly models: readonly ServedModel[];
  readonly #schedulers: ReadonlyMap<ServedModel, Scheduler>;

  constructor(loaded: readonly LoadedModel[], options: SchedulerOptions) {
    const turns = new Turns();
    this.models = loaded.map(({ model }) => model);
    this.#schedulers = new Map(
      loaded.map(({ model, session, observer, reopen }) => [
        model,
        new Scheduler(session, turns, options, observer, reopen),
      ]),
    );
  }

  model(name?: string | null): ServedModel {
    const found = name == null ? this.models[0] : this.models.find((model) => model.name === name);
    if (found !== undefined) return found;
    const names = this.models.map((model) => model.name).join(", ");
    throw new ApiError(404, `model: expected one of ${names}, got ${JSON.stringify(name)}`, {
      param: "model",
      code: "model_not_found",
    });
  }

  submit(model: ServedModel, job: Job): Generation {
    refuseJob(model, job);
    return this.#schedulers.get(model)!.submit(job);
  }

  /** Frees what the models hold. */
  async close(): Promise<void> {
    await Promise.all(this.#schedulers.values().map(({ session }) => session.close()));
  }

  load(model: ServedModel): Load {
    const scheduler = this.#schedulers.get(model)!, { running, waiting, positions, broken, session } = scheduler;
    const { limits: { slots, context }, paging: { use } } = session;
    const all = use === null ? slots * context : use.pages * PAGE_POSITIONS;
    const pages = use === null ? null : { ...use, preemptions: scheduler.preemptions };
    return { running, waiting, cacheUsage: Math.min(1, positions / all), pages, broken };
  }
}

/** Refuses what a session would refuse too late: in a batch with others. */
function refuseJob({ limits, config }: ServedModel, { prompt, maxTokens, echo, logprobs }: Job): void {
  if (prompt.length === 0) throw wrongField("prompt", "expected at least one token, got none");
  refuseManyTokens(limits, prompt.length, "prompt");
  if (maxTokens > limits.maxTokens) {
    throw wrongField("max_tokens", `expected at most ${limits.maxTokens}, got ${maxTokens}`);
  }
  if (prompt.length + maxTokens > limits.context) {
    const left = `what ${counted(prompt.length, "token")} of the prompt ${prompt.length === 1 ? "leaves" : "leave"}`;
    throw tooLong(
      limits,
      "max_tokens",
      `expected at most ${limits.context - prompt.length}, ${left}, got ${maxTokens}`,
    );
  }
  const stray = prompt.find((id) => !(id >= 0 && id < config.vocab));
  if (stray !== undefined) throw wrongField("prompt", `expected token ids from 0 to ${config.vocab - 1}, got ${stray}`);
  if (echo && logprobs === null) throw new RangeError("a job that scores its prompt asks for logprobs");
}
