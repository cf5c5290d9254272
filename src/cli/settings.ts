/** From a command's options to a setting, and from a setting to a session, with warnings and progress on stderr. */
import type { Kept } from "../eval/stores.ts";
import { UsageError } from "./spelling.ts";
import { z } from "zod";
import type { Subject } from "../errors.ts";
import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import { EXPERT } from "../checkpoint/quark/module_names.ts";
import { openSetting, type Room } from "../session/open.ts";
import { type FullProtocol, fullProtocolOf } from "../session/protocol.ts";
import type { Session } from "../session/session.ts";
import {
  type BackendChoice,
  type BackendName,
  type Choices,
  DEFAULTS,
  type PlannedSetting,
  planSetting,
  type Setting,
  USED_BY,
  uses,
} from "../session/setting.ts";
import type { COMPUTE_OPTIONS, FORMAT_OPTIONS, PARALLEL_OPTIONS } from "./model_options.ts";
import type { OptionValues } from "./options.ts";
import { ProgressBar } from "./progress.ts";
import { selfTestsOf } from "./self_tests.ts";
import { keepUserHash, userHash } from "./user_hashes.ts";
import { note } from "./terminal.ts";
import { reading } from "../validate.ts";

/** The options that decide number formats. */
type FormatOptions = OptionValues<typeof FORMAT_OPTIONS>;
/** The options that say how to compute. */
export type ComputeOptions = OptionValues<typeof COMPUTE_OPTIONS>;
/** Options of which `eval` has lists instead. */
type Axis = "scheme" | "kv-cache-dtype" | "tp" | "ep";
/** The options that say how to compute, without those of which `eval` has lists. */
export type SharedOptions = Omit<ComputeOptions, Axis>;

/** The names of options that only some backends have a use for. */
export const BACKEND_OPTIONS = {
  threads: "threads",
  weights: "weights",
  device: "device",
  hipLibrary: "hip-library",
  collectivesLibrary: "collectives-library",
} as const satisfies Record<BackendChoice, keyof ComputeOptions>;

/** {@linkcode BACKEND_OPTIONS} as a list. */
export const BACKEND_CHOICES: readonly BackendChoice[] = [
  "threads",
  "weights",
  "device",
  "hipLibrary",
  "collectivesLibrary",
];

/** Choices that only some backends have a use for; undefined where nothing was chosen. */
export type BackendChoices = Pick<Choices, BackendChoice>;

/** The same, of a command line. */
export function backendChoices(options: Pick<ComputeOptions, (typeof BACKEND_OPTIONS)[BackendChoice]>): BackendChoices {
  const { threads, weights, device, "hip-library": hipLibrary, "collectives-library": collectivesLibrary } = options;
  return { threads, weights, device, hipLibrary, collectivesLibrary };
}

/**
 * Refuses what none of the backends has a use for.
 *
 * @param backends Those that the command computes with.
 * @throws {InputError} naming the option and the backends.
 */
export function refuseUnused(choices: BackendChoices, backends: readonly BackendName[]): void {
  for (const choice of BACKEND_CHOICES) {
    if (choices[choice] === undefined || backends.some((backend) => uses(backend, choice))) continue;
    const got = [...new Set(backends)].join(" and ");
    throw UsageError.of(
      "contradiction",
      { option: BACKEND_OPTIONS[choice] },
      `with --backend ${USED_BY[choice].join(" or ")}`,
      `--backend ${got}`,
    );
  }
}

/**
 * The choices that every command which computes takes from its options.
 *
 * @throws {InputError} where an option means nothing to the backend.
 */
export function sharedChoices(options: SharedOptions): Omit<Choices, "scheme" | "kvCacheDtype" | "tp" | "ep"> {
  const { backend, dtype, chunk, "fp8-scales": fp8Scales } = options;
  const own = backendChoices(options);
  refuseUnused(own, [backend]);
  return { backend, dtype, fp8Scales, chunk, ...own, inputScales: null };
}

/**
 * All choices of a command that computes one setting.
 *
 * @throws {InputError} as {@linkcode sharedChoices}.
 */
export function choicesOf(options: ComputeOptions): Choices {
  return {
    ...sharedChoices(options),
    scheme: options.scheme ?? null,
    kvCacheDtype: options["kv-cache-dtype"],
    tp: options.tp,
    ep: options.ep,
  };
}

/** The choices of a command that computes nothing: number formats, and ranks. */
export function formatChoices(options: FormatOptions & OptionValues<typeof PARALLEL_OPTIONS>): Choices {
  const { scheme = null, dtype, tp, ep, "kv-cache-dtype": kvCacheDtype, "fp8-scales": fp8Scales } = options;
  return { ...DEFAULTS, scheme, dtype, kvCacheDtype, fp8Scales, tp, ep };
}

/**
 * Makes what writes warnings to stderr; a line that was written is not written again, as settings of one checkpoint
 * have the same.
 */
export function warnOnce(): (line: string) => void {
  const written = new Set<string>();
  return (line) => {
    if (!written.has(line)) note(`warning: ${line}`);
    written.add(line);
  };
}

/**
 * Plans the setting of a command that has one.
 *
 * @throws {InputError} as `planSetting`, and as {@linkcode refuseIdleRule}.
 */
export function planOnce(setting: Setting, onWarning: (line: string) => void = warnOnce()): PlannedSetting {
  const planned = planSetting(setting, onWarning);
  refuseIdleRule([planned]);
  return planned;
}

/**
 * Refuses a rule of static scales that is for none of the settings: it is one of experts, which can share their scales.
 *
 * @throws {InputError} naming the option.
 */
export function refuseIdleRule(settings: readonly PlannedSetting[]): void {
  const own = settings.filter(({ fp8Scales }) => fp8Scales === "own");
  if (own.length === 0 || own.some(hasStaticExperts)) return;
  const subject = { option: "fp8-scales", value: "own" };
  throw UsageError.of("contradiction", subject, "experts with static FP8 inputs", "none");
}

/** Whether any expert reads inputs that are quantized with a static scale. */
function hasStaticExperts({ planned }: PlannedSetting): boolean {
  return planned.plan.linears.some(({ module, input }) => input.kind === "fp8_static" && EXPERT.test(module));
}

/** Loads a setting, with a progress bar where that takes long; the caller closes the session. */
export async function loadSetting(setting: PlannedSetting, room: Room): Promise<Session> {
  using bar = new ProgressBar(`loading ${setting.scheme ?? "the model"}`);
  const selfTests = selfTestsOf(setting) ?? undefined;
  return await openSetting(setting, room, (done, total) => bar.update(done, total), { selfTests });
}

/** SHA-256 of a checkpoint's weights, with a progress bar while they are hashed. */
export function hashedWeights(checkpoint: Checkpoint, known?: string): string {
  using bar = new ProgressBar("hashing weights");
  return checkpoint.weightsSha256((done, total) => bar.update(done, total), known);
}

/** A hash as it is kept. */
const KeptHash = z.strictObject({ index: z.literal(0), sha256: z.string().regex(/^[0-9a-f]{64}$/) });

/**
 * Hashes weights on another thread, so that whatever asks for the hash has it at once: in a directory of results once,
 * as long as place, size and times of every file of the checkpoint stay as they are.
 *
 * @param kept Where the hash is kept for the next run; null: nowhere.
 * @param user File that keeps hashes for all runs of the user; null: none.
 * @param onProgress Called with bytes done and bytes in all.
 */
export async function hashWeights(
  checkpoint: Checkpoint,
  kept: Kept | null,
  user: string | null,
  onProgress?: (done: number, total: number) => void,
): Promise<void> {
  if (checkpoint.identity.length === 0) return await checkpoint.hashBeside(onProgress);
  const usual = async () => {
    const known = user === null ? undefined : userHash(user, checkpoint.identity);
    if (known !== undefined) return void checkpoint.weightsSha256(undefined, known);
    await checkpoint.hashBeside(onProgress);
    if (user !== null) keepUserHash(user, checkpoint.identity, checkpoint.weightsSha256());
  };
  if (kept === null) return await usual();
  const header = { schema: "mxoss.weights", version: 1, files: checkpoint.identity };
  using journal = kept.open(kept.name, header, reading(KeptHash), "replace");
  const known = journal.entries.get(0)?.sha256;
  if (known !== undefined) {
    checkpoint.weightsSha256(undefined, known);
    return;
  }
  await usual();
  journal.append({ index: 0, sha256: checkpoint.weightsSha256() });
}

/** What goes with every number of a setting in result files, with a progress bar while weights are hashed. */
export async function hashedProtocol(setting: PlannedSetting): Promise<FullProtocol> {
  using bar = new ProgressBar("hashing weights");
  return await fullProtocolOf(setting, (done, total) => bar.update(done, total));
}

/**
 * @param asked What asks for it.
 * @throws {UsageError} where it is longer than the model's.
 */
export function refuseLonger(
  context: number | undefined,
  maxPositions: number,
  asked: Subject = { option: "context" },
): void {
  if (context === undefined || context <= maxPositions) return;
  throw UsageError.of("too_large", asked, `at most ${maxPositions}, the model's context`, context);
}
