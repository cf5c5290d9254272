/** How GGUF files store numbers: ggml's types by their ids in a file. */
import { BLOCK } from "../../formats/format.ts";

/** A type whose numbers can be read here. */
export interface GgufType {
  readonly name: "F32" | "F16" | "BF16" | "Q8_0" | "MXFP4";
  /** Numbers of a block, along a row, and its bytes. */
  readonly block: number;
  readonly bytes: number;
}

/** Bytes of a Q8_0 block: a float16 d and 32 signed bytes q, whose numbers are d * q. */
export const Q8_0_BYTES = 34;
/**
 * Bytes of an MXFP4 block: an e8m0 byte and 32 codes of e2m1. The low halves of 16 bytes are the first 16 codes, the
 * high ones the others.
 */
export const MXFP4_BYTES = 17;

/** Types that are read, by id. */
export const READ_TYPES: ReadonlyMap<number, GgufType> = new Map([
  [0, { name: "F32", block: 1, bytes: 4 }],
  [1, { name: "F16", block: 1, bytes: 2 }],
  [8, { name: "Q8_0", block: BLOCK, bytes: Q8_0_BYTES }],
  [30, { name: "BF16", block: 1, bytes: 2 }],
  [39, { name: "MXFP4", block: BLOCK, bytes: MXFP4_BYTES }],
]);

/** Other types that files of this architecture are published in, for messages. */
const OTHER_TYPES: ReadonlyMap<number, string> = new Map([
  ...([[2, "Q4_0"], [3, "Q4_1"], [6, "Q5_0"], [7, "Q5_1"], [10, "Q2_K"], [11, "Q3_K"], [12, "Q4_K"]] as const),
  ...([[13, "Q5_K"], [14, "Q6_K"], [15, "Q8_K"], [16, "IQ2_XXS"], [17, "IQ2_XS"], [18, "IQ3_XXS"]] as const),
  ...([[19, "IQ1_S"], [20, "IQ4_NL"], [21, "IQ3_S"], [22, "IQ2_S"], [23, "IQ4_XS"], [24, "I8"]] as const),
  ...([[25, "I16"], [26, "I32"], [27, "I64"], [28, "F64"], [29, "IQ1_M"], [34, "TQ1_0"], [35, "TQ2_0"]] as const),
]);

/** What messages call a type. */
export function typeName(id: number): string {
  return READ_TYPES.get(id)?.name ?? OTHER_TYPES.get(id) ?? `type ${id}`;
}
