/** What `mxoss devices --verify` found, as it stands in `--json` and in the file of `--out`. */
import { z } from "zod";

/** Name and version of the format. */
export const VERIFY_SCHEMA = "mxoss.verify", VERIFY_VERSION = 1;

const text = (what: string) => z.string().describe(what);
const maybe = (what: string) => z.string().nullable().describe(what);
const number = (what: string) => z.number().nullable().describe(what);
const count = (what: string) => z.int().min(0).describe(what);
const agrees = z.boolean().describe("whether it is as near as is allowed");
const problem = maybe("why it could not be run; null where it ran");

/** One launch of a kernel, on inputs that are the same everywhere, against plain arithmetic. */
export const CaseResult = z.strictObject({
  case: text("the case"),
  kernel: text("entry point"),
  error: number("largest deviation, in parts of what is allowed: up to 1 is right; null where it is not finite"),
  agrees,
  problem,
});
/** See {@linkcode CaseResult}. */
export type CaseResult = z.infer<typeof CaseResult>;

/** A kernel with matrix instructions beside the generic one, on this device. */
export const MatrixResult = z.strictObject({
  kernel: text("entry point"),
  format: text("of the weights, or of the KV cache"),
  error: number("normalized mean square error; null where it is not finite"),
  limit: z.number().describe("what is allowed of it"),
  agrees,
  problem,
});
/** See {@linkcode MatrixResult}. */
export type MatrixResult = z.infer<typeof MatrixResult>;

/** The embedded model on this device. */
export const ModelResult = z.strictObject({
  setting: text("scheme, KV cache, or what else was computed"),
  dtype: z.enum(["f32", "bf16"]),
  against: text("whose results they are compared with"),
  error: number("root mean square difference of logits; null for a reply, and where it is not finite"),
  limit: number("what is allowed of it; null where only tokens are compared"),
  same_tokens: count("positions whose likeliest token is the same, or tokens of a reply"),
  tokens: count("of so many"),
  agrees,
  problem,
});
/** See {@linkcode ModelResult}. */
export type ModelResult = z.infer<typeof ModelResult>;

/** How fast the device is with these kernels. */
export const SpeedResult = z.strictObject({
  what: text("what was measured"),
  value: number("median; null where it was not measured"),
  unit: z.enum(["GB/s", "tok/s"]),
  runs: z.array(z.number()).describe("every run"),
  problem: maybe("why it was not measured"),
});
/** See {@linkcode SpeedResult}. */
export type SpeedResult = z.infer<typeof SpeedResult>;

/** The card, and what drives it. */
export const VerifiedDevice = z.strictObject({
  backend: z.enum(["hip", "cuda"]),
  index: count("ordinal of the device"),
  name: text("as the library names it"),
  arch: text("architecture, with AMD's features"),
  processors: count("compute units or streaming multiprocessors"),
  memory_bytes: count("memory of the device"),
  library: text("library that was loaded"),
  runtime_version: text("version of the HIP runtime, or of CUDA that the driver speaks"),
  driver_version: maybe("of the kernel's driver; null where the system does not say"),
});
/** See {@linkcode VerifiedDevice}. */
export type VerifiedDevice = z.infer<typeof VerifiedDevice>;

/** The kernels that ran. */
export const VerifiedKernels = z.strictObject({
  arch: text("architecture that they were compiled for"),
  sha256: text("over the hashes of their files"),
  how: z.enum(["own", "later", "generic", "twin"]).describe(
    "compiled for it; PTX of an older one, or made generic, compiled by the driver; code of one with its instructions",
  ),
});
/** See {@linkcode VerifiedKernels}. */
export type VerifiedKernels = z.infer<typeof VerifiedKernels>;

/** All of it. */
export const VerifyResults = z.strictObject({
  schema: z.literal(VERIFY_SCHEMA),
  version: z.literal(VERIFY_VERSION),
  mxoss: text("version of mxoss"),
  system: text("operating system, processor, versions"),
  seconds: z.number().describe("what it took"),
  device: VerifiedDevice,
  kernels: VerifiedKernels,
  filter: maybe("only what has this in its name was run; null: everything"),
  cases: z.array(CaseResult),
  matrix: z.array(MatrixResult),
  model: z.array(ModelResult),
  speed: z.array(SpeedResult),
  not_run: z.array(z.string()).describe("parts that were not run, and why"),
  passed: z.boolean().describe("whether all that had to agree was run, and agreed"),
}).describe("what a device computes with the kernels of mxoss, against plain arithmetic");
/** See {@linkcode VerifyResults}. */
export type VerifyResults = z.infer<typeof VerifyResults>;

/** Everything that disagreed or could not be run, one line each. */
export function failures({ cases, matrix, model, not_run }: Findings): string[] {
  const how = (error: number | null, limit: number, why: string | null) =>
    why ?? `${error === null ? "not finite" : `${error.toPrecision(2)}, of ${limit} allowed`}`;
  return [
    ...cases.filter((one) => !one.agrees).map((one) => `${one.case}: ${how(one.error, 1, one.problem)}`),
    ...matrix.filter((one) => !one.agrees).map((one) =>
      `${one.kernel} (${one.format}) beside the generic kernel: ${how(one.error, one.limit, one.problem)}`
    ),
    ...model.filter((one) => !one.agrees).map((one) =>
      `${one.setting}, ${one.dtype}: ${
        one.problem ??
          `${one.same_tokens} of ${one.tokens} tokens the same${
            one.limit === null ? "" : `; logits ${how(one.error, one.limit, null)}`
          }`
      }`
    ),
    ...not_run,
  ];
}

/** What grows while a device is verified. */
export interface Findings {
  readonly cases: CaseResult[];
  readonly matrix: MatrixResult[];
  readonly model: ModelResult[];
  readonly speed: SpeedResult[];
  readonly not_run: string[];
}
