/**
 * The embedded model on a device: against logits and a reply of Hugging Face's implementation, and under the schemes
 * that have none of those against the plain backend, computed here and now.
 */
import { onGpus } from "../formats/input.ts";
import { type Checkpoint, openCheckpoint } from "../checkpoint/checkpoint.ts";
import { OWN_MODEL, ownPath } from "../own_files.ts";
import { reason } from "../errors.ts";
import type { Dtype } from "../formats/format.ts";
import { SCHEMES } from "../plan/scheme.ts";
import { generate } from "../session/generate.ts";
import { type GpuHost, openSetting } from "../session/open.ts";
import { Sampler } from "../session/sampler.ts";
import type { Session } from "../session/session.ts";
import { type Choices, DEFAULTS, planSetting } from "../session/setting.ts";
import { Goldens } from "./goldens.ts";
import type { ModelResult } from "./results.ts";

/** Where a model is computed. */
export interface Place {
  readonly backend: "hip" | "cuda";
  readonly device: number;
  readonly hipLibrary: string | undefined;
  readonly gpu: GpuHost;
}

/** One thing to compute. */
export interface ModelCheck {
  readonly setting: string;
  readonly dtype: Dtype;
  run(): Promise<ModelResult>;
}

/** Most that float32 logits may be away from another implementation's, and from the plain backend's. */
const MAX_RMS = 1e-3;
/** Part of a scheme's own effect on logits that they may be away: a last-bit difference may flip a rounding. */
const PART_OF_EFFECT = 0.05;
/** How much farther from float32 bf16 may be than Hugging Face's. */
const BF16_MARGIN = 1.5;
/** Tokens of a comparison with the plain backend, which computes 20 to 60 a second. */
const FEW = 24;
/** Positions of a chunk of which matrix kernels compute many, and vector kernels the rest. */
const CHUNK = 128;

/** Every check, the quick ones first. */
export class ModelChecks {
  readonly #goldens = new Goldens();
  readonly #checkpoint: Checkpoint = openCheckpoint(ownPath(OWN_MODEL), {});
  readonly #weightOnly: Float32Array;
  readonly #inputScales: Choices["inputScales"];

  constructor(readonly place: Place) {
    this.#weightOnly = this.#goldens.numbers("w_mxfp4");
    this.#inputScales = { scales: this.#goldens.inputScales(), from: "the goldens" };
  }

  /** In the order in which they are run. */
  all(): ModelCheck[] {
    const known = new Set<string>(GOLDEN_SETTINGS.map(([name]) => name));
    return [
      ...(["f32", "bf16"] as const).flatMap((dtype) =>
        GOLDEN_SETTINGS.map(([name, choices]) => this.#check(name, dtype, () => this.#golden(name, dtype, choices)))
      ),
      ...(["f32", "bf16"] as const).map((dtype) =>
        this.#check("a reply picked on the device", dtype, () => this.#reply(dtype))
      ),
      ...SCHEMES.filter(({ name, input }) => !known.has(name) && onGpus(input)).map(({ name }) =>
        this.#check(name, "f32", () => this.#beside(name))
      ),
    ];
  }

  #check(setting: string, dtype: Dtype, run: () => Promise<Omit<ModelResult, "setting" | "dtype" | "problem">>) {
    return {
      setting,
      dtype,
      run: async (): Promise<ModelResult> => {
        const said = { setting, dtype };
        try {
          return { ...said, ...await run(), problem: null };
        } catch (thrown) {
          const nothing = { against: "-", error: null, limit: null, same_tokens: 0, tokens: 0, agrees: false };
          return { ...said, ...nothing, problem: reason(thrown) };
        }
      },
    };
  }

  async #golden(name: string, dtype: Dtype, choices: Partial<Choices>) {
    const golden = this.#goldens.numbers(name), { vocab } = this.#checkpoint.config;
    const ids = this.#goldens.ids("ids"), logits = new Float32Array(golden.length);
    await this.#computed({ ...choices, dtype }, ids.length, async (session) => {
      const first = ids.length - golden.length / vocab;
      await session.feed({ slot: 0, tokens: ids.subarray(0, first), logits: "none" });
      const tokens = ids.subarray(first);
      await session.feed({ slot: 0, tokens, logits: "all" }, (i, row) => logits.set(row, (i - first) * vocab));
    });
    return compared(logits, golden, vocab, "Hugging Face's logits", this.#limit(name, dtype, golden));
  }

  /** What is allowed of the distance; null where roundings to bf16 change what is quantized, and so all after it. */
  #limit(name: string, dtype: Dtype, golden: Float32Array): number | null {
    if (dtype === "bf16") {
      if (name !== "w_mxfp4") return null;
      return BF16_MARGIN * distance(this.#goldens.numbers("w_mxfp4.bf16"), golden);
    }
    return name === "w_mxfp4" ? MAX_RMS : PART_OF_EFFECT * distance(this.#weightOnly.subarray(-golden.length), golden);
  }

  async #reply(dtype: Dtype) {
    const prompt = this.#goldens.ids("greedy.prompt"), wanted = this.#goldens.ids("greedy.reply"), got: number[] = [];
    await this.#computed({ dtype }, prompt.length + wanted.length, async (session) => {
      const stopIds = new Set([wanted.at(-1)!]), maxTokens = wanted.length;
      for await (const id of generate({ session, slot: 0, prompt, picker: new Sampler(), stopIds, maxTokens })) {
        got.push(id);
      }
    });
    const same = wanted.findIndex((id, i) => got[i] !== id), same_tokens = same < 0 ? wanted.length : same;
    const agrees = same < 0 && got.length === wanted.length;
    return { against: "Hugging Face's reply", error: null, limit: null, same_tokens, tokens: wanted.length, agrees };
  }

  async #beside(scheme: string) {
    const ids = this.#goldens.ids("ids").subarray(0, FEW), { vocab } = this.#checkpoint.config;
    const logitsOf = async (choices: Partial<Choices>, own: boolean) => {
      const all = new Float32Array(FEW * vocab);
      const feed = (session: Session) =>
        session.feed({ slot: 0, tokens: ids, logits: "all" }, (i, row) => all.set(row, i * vocab));
      await this.#computed({ dtype: "f32", ...choices }, FEW, feed, own);
      return all;
    };
    const got = await logitsOf({ scheme }, true), wanted = await logitsOf({ scheme }, false);
    const plain = await logitsOf({}, true), limit = Math.max(MAX_RMS, PART_OF_EFFECT * distance(plain, wanted));
    return compared(got, wanted, vocab, "the plain backend on this machine", limit);
  }

  /** @param own Whether on the device; else on the plain backend. */
  async #computed(
    choices: Partial<Choices>,
    context: number,
    use: (session: Session) => Promise<void>,
    own = true,
  ): Promise<void> {
    const { backend, device, hipLibrary, gpu } = this.place, inputScales = this.#inputScales;
    const where = own ? { backend, device, hipLibrary } : { backend: "reference" as const };
    const scaled = choices.scheme?.includes("fp8") ? { inputScales } : {};
    const setting = planSetting({ ...DEFAULTS, ...where, ...scaled, ...choices, checkpoint: this.#checkpoint });
    const session = await openSetting(setting, { slots: 1, context, chunk: CHUNK }, undefined, gpu);
    try {
      await use(session);
    } finally {
      await session.close();
    }
  }
}

/** Settings of which there are goldens, by their names there. */
const GOLDEN_SETTINGS: readonly (readonly [name: string, choices: Partial<Choices>])[] = [
  ["w_mxfp4", {}],
  ["w_mxfp4_a_mxfp4", { scheme: "w_mxfp4_a_mxfp4" }],
  ["w_mxfp4_a_mxfp6_e3m2", { scheme: "w_mxfp4_a_mxfp6_e3m2" }],
  ["w_mxfp4_a_mxfp6_e2m3", { scheme: "w_mxfp4_a_mxfp6_e2m3" }],
  ["w_mxfp4_a_mxfp8", { scheme: "w_mxfp4_a_mxfp8" }],
  ["w_mxfp4_a_fp8", { scheme: "w_mxfp4_a_fp8" }],
  ["w_mxfp4.kv_fp8", { kvCacheDtype: "fp8" }],
];

/** Root of the mean of (a - b)^2. */
function distance(a: Float32Array, b: Float32Array): number {
  return Math.sqrt(a.reduce((sum, x, i) => sum + (x - b[i]!) ** 2, 0) / a.length);
}

/** Least part of the positions whose likeliest token must be the same. */
const LIKELIEST = 15 / 16;

function compared(got: Float32Array, wanted: Float32Array, vocab: number, against: string, limit: number | null) {
  const tokens = wanted.length / vocab;
  let same_tokens = 0;
  const largest = (all: Float32Array, row: number) => {
    const logits = all.subarray(row * vocab, (row + 1) * vocab);
    return logits.reduce((best, x, i) => x > logits[best]! ? i : best, 0);
  };
  for (let row = 0; row < tokens; row++) if (largest(got, row) === largest(wanted, row)) same_tokens++;
  const error = distance(got, wanted);
  // Not `error > limit`, which NaN would pass.
  const agrees = same_tokens >= LIKELIEST * tokens && (limit === null ? Number.isFinite(error) : error <= limit);
  return { against, error: Number.isFinite(error) ? error : null, limit, same_tokens, tokens, agrees };
}
