import type { ElementName } from "../../src/formats/elements.ts";

/** The elements' names in tests/goldens/elements.safetensors, which are those of ml_dtypes. */
export const ELEMENT_GOLDENS: Readonly<Record<ElementName, string>> = {
  e2m1: "float4_e2m1fn",
  e3m2: "float6_e3m2fn",
  e2m3: "float6_e2m3fn",
  e4m3fn: "float8_e4m3fn",
  e4m3fnuz: "float8_e4m3fnuz",
  e5m2: "float8_e5m2",
};
