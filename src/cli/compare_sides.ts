/** The two sides of `mxoss compare`: what `--a` and `--b` say, and what the other options say for both. */
import { UsageError } from "./spelling.ts";
import { InputError } from "../errors.ts";
import { type Text, withOption } from "../words.ts";
import type { z } from "zod";
import { type Choices, DEFAULTS, USED_BY, uses } from "../session/setting.ts";
import { closest } from "./closest.ts";
import type { COMPARE } from "./compare_options.ts";
import { schemeName } from "./scheme_name.ts";
import { COMPUTE_OPTIONS, MODEL_OPTIONS } from "./model_options.ts";
import { type OptionValues, withGiven } from "./options.ts";
import { BACKEND_CHOICES, BACKEND_OPTIONS, type BackendChoices, backendChoices, refuseUnused } from "./settings.ts";

/** The options of the sides. */
export const SIDES = ["a", "b"] as const;

/** What a side of the comparison can say of itself: options of the command line by their short names. */
const SIDE_KEYS = {
  model: MODEL_OPTIONS.model.schema,
  scheme: schemeName().optional(),
  backend: COMPUTE_OPTIONS.backend.schema,
  dtype: COMPUTE_OPTIONS.dtype.schema,
  "fp8-scales": COMPUTE_OPTIONS["fp8-scales"].schema,
  kv: COMPUTE_OPTIONS["kv-cache-dtype"].schema,
  tp: COMPUTE_OPTIONS.tp.schema,
  ep: COMPUTE_OPTIONS.ep.schema,
  threads: COMPUTE_OPTIONS.threads.schema,
  weights: COMPUTE_OPTIONS.weights.schema,
  device: COMPUTE_OPTIONS.device.schema,
  "hip-library": COMPUTE_OPTIONS["hip-library"].schema,
  "collectives-library": COMPUTE_OPTIONS["collectives-library"].schema,
} as const;

/** A side's own settings; what is absent is as the command line's other options say. */
export type SideOptions = { readonly [K in keyof typeof SIDE_KEYS]?: z.output<(typeof SIDE_KEYS)[K]> };

/**
 * Reads `k=v,k=v`.
 *
 * @throws {InputError} naming the option and the key.
 */
export function parseSide(name: "a" | "b", words: string | undefined): SideOptions {
  const side: Record<string, unknown> = {};
  for (const word of words === undefined ? [] : words.split(",")) {
    const at = word.indexOf("=");
    const key = word.slice(0, Math.max(0, at)).trim(), value = word.slice(at + 1).trim();
    if (at < 0) {
      throw UsageError.of("wrong_value", { option: name }, "settings such as scheme=w_mxfp4_a_fp8,kv=fp8", `"${word}"`);
    }
    const keys = Object.keys(SIDE_KEYS);
    if (!keys.includes(key)) {
      const near = closest(key, keys);
      const hint = near === undefined ? `expected ${keys.join(", ")}` : `did you mean ${near}?`;
      throw UsageError.saying("wrong_value", { option: name, name: key }, `unknown setting; ${hint}`);
    }
    if (key in side) throw UsageError.of("contradiction", { option: name, name: key }, "once", "twice");
    const result = SIDE_KEYS[key as keyof typeof SIDE_KEYS].safeParse(value);
    if (!result.success) {
      throw UsageError.saying(
        "wrong_value",
        { option: name, name: key },
        withGiven(result.error.issues[0]!, value),
      );
    }
    side[key] = result.data;
  }
  return side;
}

/**
 * Carries something out for a side whose scheme, which has no option of its own here, is named as the side has it.
 *
 * @throws What it throws.
 */
export function inSide<T>(name: "a" | "b", work: () => T): T {
  try {
    return work();
  } catch (thrown) {
    if (!(thrown instanceof InputError)) throw thrown;
    const own = (text: Text) => withOption(text, "scheme", `--${name} scheme`, `--${name} scheme=`);
    const { mistake } = thrown, { subject, expected, got, problem } = mistake;
    const asked = typeof got === "number" || got === undefined ? {} : { got: own(got) };
    const named = { ...subject, ...(subject.name === undefined ? {} : { name: own(subject.name) }) };
    throw new UsageError(
      problem === undefined
        ? { ...mistake, subject: named, expected: own(expected), ...asked }
        : { ...mistake, subject: named, problem: own(problem), ...asked },
    );
  }
}

/** How a side is computed, and the directory of its model. */
export interface SideChoices extends Choices {
  readonly model: string | undefined;
}

/**
 * The choices of both sides.
 *
 * @throws {InputError} where a side cannot be read, or an option means nothing to the backend that it is for.
 */
export function sideChoices(options: OptionValues<typeof COMPARE.options>): readonly SideChoices[] {
  const sides = SIDES.map((name) => ({ name, own: parseSide(name, options[name]) }));
  const shared = backendChoices(options);
  refuseUnused(shared, sides.map(({ own }) => own.backend ?? options.backend));
  const models = options.model ?? [];
  if (models.length > sides.length) {
    throw UsageError.of(
      "wrong_value",
      { option: "model" },
      "once, or twice: for A, then for B",
      `${models.length} times`,
    );
  }
  return sides.map(({ name, own }, i): SideChoices => {
    const backend = own.backend ?? options.backend, tp = own.tp ?? options.tp, ep = own.ep ?? options.ep;
    return {
      ...DEFAULTS,
      model: own.model ?? models[i] ?? models[0],
      scheme: own.scheme ?? null,
      backend,
      dtype: own.dtype ?? options.dtype,
      kvCacheDtype: own.kv ?? options["kv-cache-dtype"],
      fp8Scales: own["fp8-scales"] ?? options["fp8-scales"],
      tp,
      ep,
      ...ownBackendChoices(name, own, shared, backend),
    };
  });
}

/** A side's choices for its backend; those of both sides count where the backend has a use for them. */
function ownBackendChoices(
  name: "a" | "b",
  side: SideOptions,
  shared: BackendChoices,
  backend: Choices["backend"],
): BackendChoices {
  const { threads, weights, device, "hip-library": hipLibrary, "collectives-library": collectivesLibrary } = side;
  const own: BackendChoices = { threads, weights, device, hipLibrary, collectivesLibrary };
  const unused = BACKEND_CHOICES.filter((choice) => !uses(backend, choice));
  const refused = unused.find((choice) => own[choice] !== undefined);
  if (refused !== undefined) {
    const expected = USED_BY[refused].join(" or ");
    throw UsageError.of(
      "contradiction",
      { option: name, name: BACKEND_OPTIONS[refused] },
      `with backend=${expected}`,
      `backend=${backend}`,
    );
  }
  return {
    threads: threads ?? (uses(backend, "threads") ? shared.threads : undefined),
    weights: weights ?? (uses(backend, "weights") ? shared.weights : undefined),
    device: device ?? (uses(backend, "device") ? shared.device : undefined),
    hipLibrary: hipLibrary ?? (uses(backend, "hipLibrary") ? shared.hipLibrary : undefined),
    collectivesLibrary: collectivesLibrary ??
      (uses(backend, "collectivesLibrary") ? shared.collectivesLibrary : undefined),
  };
}
