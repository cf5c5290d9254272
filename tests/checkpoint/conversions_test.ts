import { type Conversion, lossyFormats, quantizedBefore } from "../../src/checkpoint/conversions.ts";
import { assertEquals } from "../assert.ts";

const step = (from: string, ...to: string[]): Conversion => ({ experts: { from: [from], to } });

Deno.test("conversions: plain numbers are named by what has rounded them last, others by their own format", () => {
  const q8 = step("bf16", "q8_0", "f32");
  assertEquals(lossyFormats("f32", "experts", [q8]), ["q8_0"]);
  assertEquals(lossyFormats("f32", "attention", [q8]), []);
  assertEquals(lossyFormats("bf16", "experts", [q8]), []);
  assertEquals(lossyFormats("f32", "experts", [q8, step("f32", "q5_1", "f32")]), ["q5_1"]);
  assertEquals(lossyFormats("mxfp4", "experts", [step("bf16", "mxfp4", "fp8_e4m3")]), ["mxfp4"]);
  // Of rounding that names no other format there is a warning all the same.
  assertEquals(lossyFormats("f16", "experts", [step("f32", "f16")]), ["f16"]);
});

Deno.test("conversions: what was quantized before is named step by step, and each format once", () => {
  const q8 = step("bf16", "q8_0", "f32");
  assertEquals(quantizedBefore([q8]), []);
  assertEquals(quantizedBefore([q8, step("f32", "mxfp4")]), ["q8_0"]);
  assertEquals(quantizedBefore([q8, step("f32", "mxfp4"), step("mxfp4", "fp8_e4m3")]), ["q8_0", "mxfp4"]);
  // Layers of MXFP4 that become FP8 beside others that become MXFP4 are a trained model's own.
  const both: Conversion = { experts: { from: ["bf16", "mxfp4"], to: ["mxfp4", "fp8_e4m3"] } };
  assertEquals(quantizedBefore([both]), []);
  assertEquals(quantizedBefore([both, step("mxfp4", "fp8_e4m3")]), ["mxfp4"]);
});
