import { type InputFormat, sameInput, sameInputFormat } from "../../src/formats/input.ts";
import { assertEquals } from "../assert.ts";

const INPUTS: readonly InputFormat[] = [
  { kind: "none" },
  { kind: "fp8_token" },
  { kind: "fp8_static", scale: 1 },
  { kind: "fp8_static", scale: 2 },
  { kind: "mx", element: "e2m1", rule: "even" },
  { kind: "mx", element: "e2m1", rule: "floor" },
  { kind: "mx", element: "e2m3", rule: "even" },
  { kind: "mx", element: "e4m3fn", rule: "rceil" },
  { kind: "q8_0" },
];

Deno.test("sameInput() tells all inputs apart, sameInputFormat() all but static scales", () => {
  INPUTS.forEach((a, i) =>
    INPUTS.forEach((b, j) => {
      const what = JSON.stringify([a, b]), bothStatic = a.kind === "fp8_static" && b.kind === "fp8_static";
      assertEquals(sameInput(a, { ...b }), i === j, what);
      assertEquals(sameInputFormat(a, { ...b }), i === j || bothStatic, what);
    })
  );
});
