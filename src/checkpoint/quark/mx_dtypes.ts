/** What AMD Quark's configs call the elements of MX blocks. */
import { MX_FORMAT, type MxElement, type MxFormat } from "../../formats/format.ts";

/** The dtype of each element. */
export const MX_DTYPE = { e2m1: "fp4", e3m2: "fp6_e3m2", e2m3: "fp6_e2m3" } as const satisfies Readonly<
  Record<MxElement, string>
>;

/** The element of a dtype; undefined for dtypes of other kinds. */
export function elementOfDtype(dtype: string): MxElement | undefined {
  return (Object.keys(MX_DTYPE) as MxElement[]).find((element) => MX_DTYPE[element] === dtype);
}

/** The format of blocks of a dtype; undefined for dtypes of other kinds. */
export function formatOfDtype(dtype: string): MxFormat | undefined {
  const element = elementOfDtype(dtype);
  return element && MX_FORMAT[element];
}
