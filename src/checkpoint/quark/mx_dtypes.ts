/** What AMD Quark's configs call the elements of MX blocks. */
import { MX_FORMATS, type MxElement, mxElementOf, STORED_FORMATS } from "../../formats/format.ts";

/** The dtype of each element. */
export const MX_DTYPE: Readonly<Record<MxElement, string>> = Object.fromEntries(
  MX_FORMATS.map((format) => [mxElementOf(format), STORED_FORMATS[format].quark]),
) as Record<MxElement, string>;

/** The element of a dtype; undefined for dtypes of other kinds. */
export function elementOfDtype(dtype: string): MxElement | undefined {
  return (Object.keys(MX_DTYPE) as MxElement[]).find((element) => MX_DTYPE[element] === dtype);
}
