import { InputError } from "../../src/errors.ts";
import { MX_INPUT, type MxInputElement, NO_QDQ } from "../../src/formats/input.ts";
import { describePair, parseScheme, refusedPair, SCHEME_NAMES, schemeOf, SCHEMES } from "../../src/plan/scheme.ts";
import { assertEquals, assertThrows } from "../assert.ts";

const mx = (element: MxInputElement) => ({ kind: "mx", element, rule: "even" }) as const;
const STATIC = { kind: "fp8_static", scale: 0.5 } as const;
const TOKEN = { kind: "fp8_token" } as const;
const Q8 = { kind: "q8_0" } as const;

Deno.test("SCHEMES are the twelve OCP-MX schemes and four others, with their formats", () => {
  const table = SCHEMES.map((s) => [s.name, s.weight, s.weightScale, s.input, s.element ?? null]);
  assertEquals(table, [
    ["w_mxfp4", "mxfp4", "e8m0", "none", null],
    ["w_mxfp4_a_mxfp4", "mxfp4", "e8m0", "mx", "e2m1"],
    ["w_mxfp4_a_mxfp6_e3m2", "mxfp4", "e8m0", "mx", "e3m2"],
    ["w_mxfp4_a_mxfp6_e2m3", "mxfp4", "e8m0", "mx", "e2m3"],
    ["w_mxfp4_a_mxfp8", "mxfp4", "e8m0", "mx", "e4m3fn"],
    ["w_mxfp4_a_fp8", "mxfp4", "e8m0", "fp8_static", null],
    ["w_mxfp4_a_q8_0", "mxfp4", "e8m0", "q8_0", null],
    ["w_mxfp6_e3m2", "mxfp6_e3m2", "e8m0", "none", null],
    ["w_mxfp6_e3m2_a_mxfp6_e3m2", "mxfp6_e3m2", "e8m0", "mx", "e3m2"],
    ["w_mxfp6_e3m2_a_fp8", "mxfp6_e3m2", "e8m0", "fp8_static", null],
    ["w_mxfp6_e2m3", "mxfp6_e2m3", "e8m0", "none", null],
    ["w_mxfp6_e2m3_a_mxfp6_e2m3", "mxfp6_e2m3", "e8m0", "mx", "e2m3"],
    ["w_mxfp6_e2m3_a_fp8", "mxfp6_e2m3", "e8m0", "fp8_static", null],
    ["fp8", "fp8_e4m3", "tensor", "fp8_static", null],
    ["ptpc_fp8", "fp8_e4m3", "row", "fp8_token", null],
    ["bf16", "bf16", "none", "none", null],
  ]);
  assertEquals(SCHEMES.map(({ name }) => name), [...SCHEME_NAMES]);
});

Deno.test("parseScheme() finds every name, and schemeOf() gives it back", () => {
  for (const name of SCHEME_NAMES) {
    const scheme = parseScheme(name);
    assertEquals(scheme.name, name);
    const input = scheme.input === "mx"
      ? mx(scheme.element!)
      : scheme.input === "fp8_static"
      ? STATIC
      : scheme.input === "fp8_token"
      ? TOKEN
      : scheme.input === "q8_0"
      ? Q8
      : NO_QDQ;
    assertEquals(schemeOf(scheme.weight, scheme.weightScale, input)?.name, name);
  }
});

const BAD: [name: string, line: string][] = [
  ["w_mxfp6_e3m2_a_mxfp4", "with w_mxfp6_e3m2 expected a_mxfp6_e3m2, a_fp8 or nothing, got a_mxfp4"],
  ["w_mxfp6_e2m3_a_mxfp6_e3m2", "with w_mxfp6_e2m3 expected a_mxfp6_e2m3, a_fp8 or nothing, got a_mxfp6_e3m2"],
  [
    "w_mxfp4_a_mxfp6",
    "with w_mxfp4 expected a_mxfp4, a_mxfp6_e3m2, a_mxfp6_e2m3, a_mxfp8, a_fp8, a_q8_0 or nothing, got a_mxfp6",
  ],
  ["mxfp4", "AMD Quark's name; expected w_mxfp4_a_mxfp4"],
  ["mxfp4_fp8", "AMD Quark's name; expected w_mxfp4_a_fp8"],
  [
    "W_MXFP4",
    "scheme: expected w_mxfp4, w_mxfp4_a_mxfp4, w_mxfp4_a_mxfp6_e3m2, w_mxfp4_a_mxfp6_e2m3, w_mxfp4_a_mxfp8, ",
  ],
  ["", 'got ""'],
  ["toString", 'got "toString"'],
];

for (const [name, line] of BAD) {
  Deno.test(`parseScheme() refuses ${JSON.stringify(name)}`, () => {
    assertThrows(() => parseScheme(name), InputError, line);
  });
}

Deno.test("MX inputs of schemes have scales by the rule even, and MXFP8's by rceil", () => {
  const rules = Object.entries(MX_INPUT).map(([element, { name, rule }]) => [element, name, rule]);
  assertEquals(rules, [
    ["e2m1", "mxfp4", "even"],
    ["e3m2", "mxfp6_e3m2", "even"],
    ["e2m3", "mxfp6_e2m3", "even"],
    ["e4m3fn", "mxfp8", "rceil"],
  ]);
});

Deno.test("schemeOf() is null for pairs without a name, and sees plain formats and FP8 types as one", () => {
  assertEquals(schemeOf("fp8_e4m3", "tensor", TOKEN), null);
  assertEquals(schemeOf("fp8_e4m3", "row", STATIC), null);
  assertEquals(schemeOf("mxfp4", "e8m0", TOKEN), null);
  for (const plain of ["bf16", "f16", "f32"] as const) assertEquals(schemeOf(plain, "none", NO_QDQ)?.name, "bf16");
  assertEquals(schemeOf("fp8_e4m3fnuz", "tensor", STATIC)?.name, "fp8");
});

Deno.test("describePair() is a scheme's name, or both formats", () => {
  assertEquals(describePair("mxfp4", "e8m0", STATIC), "w_mxfp4_a_fp8");
  assertEquals(describePair("mxfp4", "e8m0", TOKEN), "mxfp4 weights, fp8_token inputs");
  assertEquals(describePair("fp8_e4m3", "row", NO_QDQ), "fp8_e4m3 per row weights, bf16 inputs");
});

Deno.test("refusedPair() lets through the schemes' pairs and plain products, no other pair with MX", () => {
  for (const weight of ["mxfp4", "mxfp6_e3m2", "mxfp6_e2m3"] as const) {
    for (const input of [NO_QDQ, STATIC, TOKEN]) assertEquals(refusedPair(weight, input), null);
  }
  const allowed = (["mxfp4", "mxfp6_e3m2", "mxfp6_e2m3", "fp8_e4m3", "fp8_e4m3fnuz", "bf16", "f16", "f32"] as const)
    .flatMap((weight) =>
      (["e2m1", "e3m2", "e2m3", "e4m3fn"] as const).filter((e) => refusedPair(weight, mx(e)) === null).map((e) =>
        `${weight} ${e}`
      )
    );
  const withFp4 = ["mxfp4 e2m1", "mxfp4 e3m2", "mxfp4 e2m3", "mxfp4 e4m3fn"];
  assertEquals(allowed, [...withFp4, "mxfp6_e3m2 e3m2", "mxfp6_e2m3 e2m3"]);
  for (const weight of ["fp8_e4m3", "bf16"] as const) {
    for (const input of [NO_QDQ, STATIC, TOKEN]) assertEquals(refusedPair(weight, input), null);
  }
  assertEquals(
    refusedPair("mxfp6_e2m3", mx("e2m1")),
    "expected bf16, mxfp6_e2m3, fp8, fp8_token inputs with mxfp6_e2m3 weights, got mxfp4",
  );
  assertEquals(refusedPair("bf16", mx("e2m1")), "expected mxfp4 weights with mxfp4 inputs, got bf16");
  assertEquals(refusedPair("mxfp4", Q8), null);
  assertEquals(
    refusedPair("mxfp6_e3m2", Q8),
    "expected bf16, mxfp6_e3m2, fp8, fp8_token inputs with mxfp6_e3m2 weights, got q8_0",
  );
  assertEquals(refusedPair("fp8_e4m3", mx("e4m3fn")), "expected mxfp4 weights with mxfp8 inputs, got fp8_e4m3");
});
