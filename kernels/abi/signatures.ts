/**
 * The signature of every entry point of the GPU kernels, once: what it is called, its arguments in order, its grid, how
 * much it stages in shared memory. The host's launches and the tables of kernels/ABI.md follow from it, and tests hold
 * it against the sources and against every compiled object.
 */
import { KERNEL_FORMATS } from "../sources.ts";
import { ATTENTIONS, PICKING } from "./attention.ts";
import { EXPERTS } from "./experts.ts";
import { GIVEN_ROWS } from "./given.ts";
import { LINEARS } from "./linears.ts";
import { ROWS } from "./rows.ts";
import { RANKS } from "./ranks.ts";
import type { Signature } from "./signature.ts";

/** All signatures, by family. */
export const SIGNATURES = {
  ...ROWS,
  ...RANKS,
  ...GIVEN_ROWS,
  ...LINEARS,
  ...EXPERTS,
  ...ATTENTIONS,
  ...PICKING,
} as const;

/** Name of a signature. */
export type Family = keyof typeof SIGNATURES;

/** The same with the arguments' types erased, for code that treats all families alike. */
export const ALL_SIGNATURES = SIGNATURES as unknown as Readonly<Record<Family, Signature>>;

/** The families that an entry point belongs to; exactly one for an entry point that exists. */
export function familiesOf(entry: string): Family[] {
  return (Object.keys(SIGNATURES) as Family[]).filter((family) =>
    ALL_SIGNATURES[family].names.some((pattern) => matches(pattern, entry))
  );
}

/** Whether an entry point's name is of a pattern such as "linear_F_x4". */
export function matches(pattern: string, entry: string): boolean {
  return new RegExp(`^${pattern.replace(/(?<=_)F(?=_|$)/, `(?:${KERNEL_FORMATS.join("|")})`)}$`).test(entry);
}
