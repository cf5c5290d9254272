/** What AMD Quark's configs call the elements of MX blocks. */
import { MX_FORMATS, type MxElement, mxElementOf, STORED_FORMATS } from "../../formats/format.ts";
import type { MxInputElement } from "../../formats/input.ts";

/** The dtype of each element of stored blocks. */
export const MX_DTYPE: Readonly<Record<MxElement, string>> = Object.fromEntries(
  MX_FORMATS.map((format) => [mxElementOf(format), STORED_FORMATS[format].quark]),
) as Record<MxElement, string>;

/** The dtype of each element of inputs; that of MXFP8 also stands for FP8 with other scales. */
export const MX_INPUT_DTYPE: Readonly<Record<MxInputElement, string>> = { ...MX_DTYPE, e4m3fn: "fp8_e4m3" };

/** The element of a dtype by one of the tables above; undefined for dtypes of other kinds. */
export function elementOfDtype<E extends string>(dtype: string, dtypes: Readonly<Record<E, string>>): E | undefined {
  return (Object.keys(dtypes) as E[]).find((element) => dtypes[element] === dtype);
}
