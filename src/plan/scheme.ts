/**
 * Quantization schemes by name: which format weights have, and what happens to the inputs of the same linears. A scheme
 * is data; the plan (plan.ts) decides which linears it is about.
 */
import { type InputFormat, MX_INPUT, type MxInputElement, type WantedInput } from "../formats/input.ts";
import { printable, show } from "../describe.ts";
import { InputError } from "../errors.ts";
import { isMxFormat, type MxFormat, type WeightFormat, type WeightScale } from "../formats/format.ts";

/** What a scheme does to inputs, as the name of a format. */
export type InputName = "bf16" | "mxfp4" | "mxfp6_e3m2" | "mxfp6_e2m3" | "mxfp8" | "fp8" | "fp8_token" | "q8_0";

/** One scheme. */
export interface Scheme {
  readonly name: SchemeName;
  readonly weight: WeightFormat;
  readonly weightScale: WeightScale;
  readonly inputName: InputName;
  /** Kind of the input format; its calibrated scale is not part of a scheme. */
  readonly input: InputFormat["kind"];
  /** Of MX inputs. */
  readonly element?: MxInputElement;
}

/**
 * The twelve OCP-MX schemes, and others: the format of weights, then that of their linears' inputs.
 *
 * @example
 * ```ts
 * import { SCHEME_NAMES } from "@mxoss/mxoss/checkpoint";
 * import { assert } from "@std/assert";
 *
 * assert(SCHEME_NAMES.includes("w_mxfp4_a_mxfp4"));
 * ```
 */
export const SCHEME_NAMES = [
  "w_mxfp4",
  "w_mxfp4_a_mxfp4",
  "w_mxfp4_a_mxfp6_e3m2",
  "w_mxfp4_a_mxfp6_e2m3",
  "w_mxfp4_a_mxfp8",
  "w_mxfp4_a_fp8",
  "w_mxfp4_a_q8_0",
  "w_mxfp6_e3m2",
  "w_mxfp6_e3m2_a_mxfp6_e3m2",
  "w_mxfp6_e3m2_a_fp8",
  "w_mxfp6_e2m3",
  "w_mxfp6_e2m3_a_mxfp6_e2m3",
  "w_mxfp6_e2m3_a_fp8",
  "fp8",
  "ptpc_fp8",
  "bf16",
] as const;
/** One of {@linkcode SCHEME_NAMES}. */
export type SchemeName = (typeof SCHEME_NAMES)[number];

/** MX weights and what inputs each may have: other pairs with an MX format are not a scheme. */
const MX_INPUTS = {
  mxfp4: ["bf16", "mxfp4", "mxfp6_e3m2", "mxfp6_e2m3", "mxfp8", "fp8", "q8_0"],
  mxfp6_e3m2: ["bf16", "mxfp6_e3m2", "fp8"],
  mxfp6_e2m3: ["bf16", "mxfp6_e2m3", "fp8"],
} as const satisfies Readonly<Record<MxFormat, readonly InputName[]>>;

/** The element of MX inputs that schemes call so. */
const mxElementNamed = (name: InputName): MxInputElement | undefined =>
  (Object.keys(MX_INPUT) as MxInputElement[]).find((element) => MX_INPUT[element].name === name);

/** Kinds of other inputs by what schemes call them. */
const KINDS: Readonly<Partial<Record<InputName, InputFormat["kind"]>>> = {
  bf16: "none",
  fp8: "fp8_static",
  fp8_token: "fp8_token",
  q8_0: "q8_0",
};

const scheme = (
  name: SchemeName,
  weight: WeightFormat,
  weightScale: WeightScale,
  inputName: InputName,
): Scheme => {
  const element = mxElementNamed(inputName);
  const input = KINDS[inputName] ?? "mx";
  return { name, weight, weightScale, inputName, input, ...(element === undefined ? {} : { element }) };
};

/** All schemes, in the order of {@linkcode SCHEME_NAMES}. */
export const SCHEMES: readonly Scheme[] = [
  ...Object.entries(MX_INPUTS).flatMap(([weight, inputs]) =>
    inputs.map((input) => {
      const name = (input === "bf16" ? `w_${weight}` : `w_${weight}_a_${input}`) as SchemeName;
      return scheme(name, weight as WeightFormat, "e8m0", input);
    })
  ),
  scheme("fp8", "fp8_e4m3", "tensor", "fp8"),
  scheme("ptpc_fp8", "fp8_e4m3", "row", "fp8_token"),
  scheme("bf16", "bf16", "none", "bf16"),
];

const BY_NAME: ReadonlyMap<string, Scheme> = new Map(SCHEMES.map((s) => [s.name, s]));

/** What AMD Quark calls schemes whose names mean something else here, or nothing. */
const QUARK_NAMES: Readonly<Record<string, SchemeName>> = {
  mxfp4: "w_mxfp4_a_mxfp4",
  mxfp4_weight_only: "w_mxfp4",
  mxfp4_fp8: "w_mxfp4_a_fp8",
  mxfp6_e3m2: "w_mxfp6_e3m2_a_mxfp6_e3m2",
  mxfp6_e2m3: "w_mxfp6_e2m3_a_mxfp6_e2m3",
};

/**
 * The scheme of a name.
 *
 * @param known Names that a refusal says were expected.
 * @throws {InputError} for a name that is none, with what was probably meant.
 */
export function parseScheme(name: string, known: readonly string[] = SCHEME_NAMES): Scheme {
  const found = BY_NAME.get(name);
  if (found) return found;
  const quark = Object.hasOwn(QUARK_NAMES, name) ? QUARK_NAMES[name] : undefined;
  if (quark) {
    throw InputError.saying(
      "wrong_value",
      { option: "scheme", value: name },
      `AMD Quark's name; expected ${quark}, as it is called here`,
    );
  }
  const [, weight = "", input = ""] = /^w_(mxfp\d(?:_e\dm\d)?)_a_(.+)$/.exec(name) ?? [];
  if (isMxFormat(weight)) {
    const inputs = MX_INPUTS[weight].map((other) => `a_${other}`).filter((other) =>
      known.includes(`w_${weight}_${other}`)
    );
    throw InputError.saying(
      "wrong_value",
      { option: "scheme", value: printable(name) },
      `with w_${weight} expected ${inputs.join(", ")} or nothing, got a_${printable(input)}`,
      `a_${printable(input)}`,
    );
  }
  throw InputError.of("wrong_value", { option: "scheme" }, known.join(", "), show(name));
}

/** What a scheme does to inputs. */
export function inputOf({ input, element }: Scheme): WantedInput {
  return input === "mx" ? { kind: input, element: element!, rule: MX_INPUT[element!].rule } : { kind: input };
}

/** The name of an input format, without its scale. */
export function nameOfInput(input: WantedInput): InputName {
  switch (input.kind) {
    case "none":
      return "bf16";
    case "mx":
      return MX_INPUT[input.element].name as InputName;
    case "fp8_static":
      return "fp8";
    case "fp8_token":
    case "q8_0":
      return input.kind;
  }
}

/** The scheme that a weight format, its scales and an input format make; null where it has no name. */
export function schemeOf(weight: WeightFormat, weightScale: WeightScale, input: InputFormat): Scheme | null {
  const name = nameOfInput(input);
  // Other plain formats are read as bf16 is, and MI300's bytes are FP8.
  const format = weight === "f16" || weight === "f32" ? "bf16" : weight === "fp8_e4m3fnuz" ? "fp8_e4m3" : weight;
  return SCHEMES.find((s) => s.weight === format && s.weightScale === weightScale && s.inputName === name) ?? null;
}

/**
 * What a scheme says where it has a name, else both formats: "mxfp4 weights, fp8_token inputs".
 */
export function describePair(weight: WeightFormat, weightScale: WeightScale, input: InputFormat): string {
  const per = weightScale === "row" ? " per row" : "";
  return schemeOf(weight, weightScale, input)?.name ?? `${weight}${per} weights, ${nameOfInput(input)} inputs`;
}

/**
 * Why weights of a format cannot have inputs of another, or null where they can. Pairs with an MX format are limited to
 * the schemes, and to FP8 inputs with a scale per token, an extension; without one, everything goes that is computed
 * with plain products.
 */
export function refusedPair(weight: WeightFormat, input: InputFormat): string | null {
  const name = nameOfInput(input);
  if (isMxFormat(weight)) {
    const allowed: readonly InputName[] = [...MX_INPUTS[weight], "fp8_token"];
    return allowed.includes(name) ? null : `expected ${allowed.join(", ")} inputs with ${weight} weights, got ${name}`;
  }
  const mx = Object.keys(MX_INPUTS).filter((w) =>
    (MX_INPUTS[w as keyof typeof MX_INPUTS] as readonly string[]).includes(name)
  );
  return input.kind === "mx" ? `expected ${mx.join(" or ")} weights with ${name} inputs, got ${weight}` : null;
}
