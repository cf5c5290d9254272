/** `mxoss serve`: models over HTTP. */
import { cacheSize } from "../session/cache_use.ts";
import { bracketed } from "../../ffi/addresses.ts";
import { environmentVariable } from "../environment.ts";
import { PAGE_POSITIONS, sharedPositions } from "../model/pages.ts";
import { deviceCacheBytes } from "../session/device_memory.ts";
import { prepareVocabulary } from "../serve/chat/constraints.ts";
import { basename } from "node:path";
import { bytesText, counted } from "../amounts.ts";
import { within } from "../breath.ts";
import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import { FailureError, InputError, reason } from "../errors.ts";
import { readText } from "../read.ts";
import { availableMemory, openInTurn } from "../memory.ts";
import { allEndpoints } from "../serve/endpoints/all.ts";
import { Metrics } from "../serve/endpoints/metrics.ts";
import { type LoadedModel, ModelService } from "../serve/engine/model_service.ts";
import { serveRoom } from "../serve/engine/room.ts";
import { type App, makeApp } from "../serve/http/app.ts";
import { isLoopback } from "../serve/http/guard.ts";
import { Listener } from "../serve/http/listener.ts";
import type { Room } from "../session/open.ts";
import { type PlannedSetting, uses } from "../session/setting.ts";
import { textDirectory } from "../session/tokenizer.ts";
import { isoDay } from "../text/day.ts";
import { Interrupt } from "./interrupt.ts";
import { snapshotAt } from "../checkpoint/hub/repository.ts";
import { openModel, openTokenizer } from "./open_model.ts";
import type { OptionValues, Parsed } from "./options.ts";
import { type SERVE, STORED } from "./serve_options.ts";
import { API_KEY_VARIABLE } from "./permissions.ts";
import { choicesOf, loadSetting, planOnce, refuseLonger, warnOnce } from "./settings.ts";
import { UsageError } from "./spelling.ts";
import { note, waitForNoReader, writeError } from "./terminal.ts";
import { VERSION } from "./version.ts";

type ServeOptions = OptionValues<typeof SERVE.options>;

/** A model before it is loaded. */
interface Planned {
  readonly name: string;
  readonly scheme: string | null;
  readonly setting: PlannedSetting;
  readonly room: Room;
}

/** Runs the command; gives its exit code. */
export async function serveCommand({ options }: Parsed<typeof SERVE.options>): Promise<number> {
  const apiKeys = readKeys(options);
  if (apiKeys.length === 0 && !isLoopback(options.host)) {
    const others = "whoever reaches the machine could ask";
    throw UsageError.of(
      "contradiction",
      { option: "host", value: options.host },
      `--api-key-file, as ${others}`,
      "none",
    );
  }
  const checkpoint = await openModel(options.model, true), tokenizer = await openTokenizer(checkpoint);
  const planned = await planAll(checkpoint, options), metrics = new Metrics();
  refuseTogether(planned);
  await unlessTaken(options, () => probeEarly(options));
  await checkpoint.scalesChecked();
  using interrupt = new Interrupt();
  for (const one of planned) note(`${one.name}: ${memoryText(one)}`);
  const load = async ({ name, scheme, setting, room }: Planned): Promise<LoadedModel> => {
    const session = await loadSetting(setting, room), { context } = room;
    const limits = {
      context,
      promptTokens: options["max-prompt"] ?? context,
      maxTokens: options["max-reply"] ?? context,
    };
    const { config } = checkpoint, created = Math.floor(Date.now() / 1000), stopIds = new Set(config.eosTokenIds);
    const day = options.date === undefined ? {} : { now: options.date };
    const texts = { textDirectory: textDirectory(checkpoint), tokenizer };
    const model = { name, scheme, config, stopIds, limits, created, ...texts, ...day };
    const reopen = (why: string) => {
      note(`${name}: the engine failed and is opened again: ${why}`);
      return loadSetting(setting, room);
    };
    const { planned: { plan }, dtype, chunk } = setting, { description } = session.engine.info;
    const formats = `${plan.scheme}, ${dtype}, cache ${plan.kvFormat}`;
    note(
      `${name}: ${formats}; ${
        counted(room.slots, "sequence")
      } of ${context} positions, chunks of ${chunk}; ${description}`,
    );
    return { session, observer: metrics.observer(name), model, reopen };
  };
  const loaded = await openInTurn(planned, load, ({ session }) => session.engine.info.unwrittenBytes ?? 0);
  prepareVocabulary(tokenizer);
  note(limitsText(options, apiKeys.length));
  const service = new ModelService(loaded, { queue: options.queue, milliseconds: 1000 * options["time-limit"] });
  const app = makeApp({
    service,
    endpoints: allEndpoints(service, metrics, VERSION),
    guard: { apiKeys },
    bodyBytes: options["max-body"],
    log: options.log === "json" ? (line) => writeError(`${JSON.stringify(line)}\n`) : () => {},
  });
  await listen(app, options, interrupt.signal);
  await service.close();
  return 0;
}

/** What caches take of memory, and how many positions they hold. */
function memoryText(one: Planned): string {
  const { setting: { checkpoint: { config } }, room: { slots, context, pages } } = one,
    bytes = bytesText(bytesOf(one));
  if (pages === undefined) return `caches for ${slots} x ${context} positions, ${bytes}`;
  const positions = sharedPositions(config, pages, slots, context);
  return `caches of ${pages} pages of ${PAGE_POSITIONS} positions, ${bytes}: ${
    slots === 1 ? "a sequence has" : `${slots} sequences share`
  } ${positions} ` +
    `positions, of which each takes up to ${context}`;
}

/** What is let in, in a line. */
function limitsText(options: ServeOptions, keys: number): string {
  const { queue, "max-prompt": prompt, "max-reply": reply, "max-body": body, "time-limit": seconds, date } = options;
  return [
    keys === 0 ? "no API key" : keys === 1 ? "an API key" : `${keys} API keys`,
    `at most ${counted(queue, "request")} wait${queue === 1 ? "s" : ""}`,
    ...(prompt === undefined ? [] : [`prompts up to ${counted(prompt, "token")}`]),
    ...(reply === undefined ? [] : [`replies up to ${counted(reply, "token")}`]),
    `bodies up to ${bytesText(body)}`,
    `${seconds} s a request, ${options["stop-limit"]} s when it stops`,
    `log ${options.log}`,
    ...(date === undefined ? [] : [`prompts of ${isoDay(date)}`]),
  ].join("; ");
}

/** Milliseconds that clients have at the end to read what they were sent. */
const LEAVE_MS = 1000;

/** Answers requests until the signal fires, and then those that are running. */
async function listen(
  app: App,
  { host, port, "stop-limit": seconds }: ServeOptions,
  signal: AbortSignal,
): Promise<void> {
  const listener = await start(app, { host, port });
  if (!signal.aborted) await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
  app.refuse();
  const running = app.running === 1 ? "1 request has" : `${app.running} requests have`;
  if (app.running > 0) note(`stopping: ${running} ${seconds} s to end; Ctrl-C ends them now`);
  await within(app.idle(), 1000 * seconds);
  app.abort();
  // A client that neither sends nor reads on keeps its connection for as long as the process lives.
  await listener.close(LEAVE_MS);
}

async function start(app: App, at: Pick<ServeOptions, "host" | "port">): Promise<Listener> {
  const listener = await unlessTaken(at, () => Listener.open(app.fetch, at.host, at.port)), { address } = listener;
  waitForNoReader();
  note(`listening on http://${bracketed(address.host)}:${address.port}`);
  return listener;
}

/** Large models take minutes to load, in which a machine may also get an address that it has not yet. */
function probeEarly({ host, port }: Pick<ServeOptions, "host" | "port">): void {
  try {
    Listener.probe(host, port);
  } catch (thrown) {
    if (!(thrown instanceof Deno.errors.AddrNotAvailable)) throw thrown;
  }
}

/** @throws {FailureError} where an address cannot be listened on. */
async function unlessTaken<T>({ host, port }: Pick<ServeOptions, "host" | "port">, open: () => T): Promise<Awaited<T>> {
  try {
    return await open();
  } catch (thrown) {
    if (thrown instanceof Deno.errors.NotCapable) throw thrown;
    throw new FailureError(`${host}:${port}: cannot be listened on: ${reason(thrown)}`);
  }
}

/** Plans every scheme before any is loaded. */
async function planAll(checkpoint: Checkpoint, options: ServeOptions): Promise<Planned[]> {
  const base = options.name ?? modelName(checkpoint), warn = warnOnce();
  const schemes = options.scheme ?? [STORED];
  const twice = schemes.find((scheme, i) => schemes.indexOf(scheme) !== i);
  if (twice !== undefined) throw UsageError.of("contradiction", { option: "scheme", value: twice }, "once", "twice");
  const planned = schemes.map((word) => {
    const scheme = word === STORED ? null : word;
    const setting = planOnce({ checkpoint, ...choicesOf({ ...options, scheme: scheme ?? undefined }) }, warn);
    refuseLonger(options.context, checkpoint.config.maxPositions);
    return { name: scheme === null ? base : `${base}@${scheme}`, scheme, setting };
  });
  const bytes = await deviceCacheBytes(planned.map(({ setting }) => setting));
  const { sequences, context, "cache-memory": asked } = options;
  return planned.map((one) => {
    const whole = { ...one, room: serveRoom(one.setting, sequences, context, bytes, asked) };
    const needed = bytesOf(whole);
    if (asked !== undefined && needed > asked) {
      const what = `at least ${needed}, what ${bytes === null ? `${sequences} sequences` : "a sequence"} of ` +
        `${whole.room.context} positions need${bytes === null ? "" : "s"}`;
      throw UsageError.of("wrong_value", { option: "cache-memory" }, what, asked);
    }
    for (const limit of ["max-prompt", "max-reply"] as const) {
      const tokens = options[limit], most = whole.room.context;
      if (tokens === undefined || tokens <= most) continue;
      throw UsageError.of("wrong_value", { option: limit }, `at most ${most}, the positions of a sequence`, tokens);
    }
    return whole;
  });
}

/** Bytes of the caches of a model. */
const bytesOf = ({ setting, room }: Planned): number => cacheSize(setting, room).bytes;

/** The name of a model in the Hugging Face cache, without its revision, or a directory's own. */
function modelName({ dir }: Checkpoint): string {
  return snapshotAt(dir)?.repository ?? basename(dir);
}

/** Refuses models whose caches memory cannot hold together; each one's own needs are checked where it is loaded. */
function refuseTogether(planned: readonly Planned[]): void {
  const available = availableMemory();
  if (available === null || uses(planned[0]!.setting.backend, "device")) return;
  const needed = planned.reduce((sum, one) => sum + bytesOf(one), 0);
  if (needed <= available.bytes) return;
  const had = `${bytesText(available.bytes)} of memory can be had (${available.by})`;
  throw new FailureError(
    `${had}, but the caches of ${counted(planned.length, "model")} need ${bytesText(needed)}; use fewer --sequences ` +
      `or a smaller --context`,
  );
}

/** The keys that let in. */
function readKeys({ "api-key": key, "api-key-file": file }: ServeOptions): string[] {
  const fromFile = file === undefined ? [] : linesOf(file);
  const descriptor = { name: "env", variable: API_KEY_VARIABLE } as const;
  const variable = Deno.permissions.querySync(descriptor).state === "granted"
    ? environmentVariable(API_KEY_VARIABLE)
    : "";
  return [key ?? "", ...fromFile, variable ?? ""].filter((one) => one !== "");
}

/** Largest file of keys, in bytes. */
const MAX_KEYS_BYTES = 1 << 20;

function linesOf(file: string): string[] {
  const where = `--api-key-file: ${file}`;
  const keys = readText(file, MAX_KEYS_BYTES, where).split("\n").map((line) => line.trim()).filter((line) =>
    line !== ""
  );
  if (keys.length === 0) throw InputError.of("missing", { file: where }, "a key in a line", "none");
  return keys;
}
