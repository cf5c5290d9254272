import { assertEquals } from "../assert.ts";
import { type FunctionTool, toolsSection, typeOf } from "../../src/text/harmony_tools.ts";
import { parseAsPython, parseWithNames } from "../../src/json_numbers.ts";
import type { JsonObject } from "../../src/json_object.ts";
import { path } from "./goldens.ts";

Deno.test("toolsSection() agrees with OpenAI's renderer on random schemas", () => {
  const cases: { tool: FunctionTool; text: string }[] = JSON.parse(
    Deno.readTextFileSync(path("tests/goldens/text/tool-types.json")),
  );
  assertEquals(cases.length, 240);
  for (const { tool, text } of cases) {
    assertEquals(toolsSection([{ name: "functions", tools: [tool] }]), text, JSON.stringify(tool));
  }
});

Deno.test("toolsSection() puts sections in the order given, and a namespace without functions as plain text", () => {
  const section = toolsSection([
    { name: "notes", description: "First line.\nSecond line.", tools: [] },
    { name: "clock", tools: [{ name: "now" }] },
  ]);
  assertEquals(
    section,
    "# Tools\n\n## notes\n\nFirst line.\nSecond line.\n\n## clock\n\nnamespace clock {\n\ntype now = () => any;\n\n} " +
      "// namespace clock",
  );
});

Deno.test("toolsSection() comments on a namespace of one function, and quotes defaults as OpenAI does", () => {
  // What openai-harmony 0.0.8 makes of them.
  const clock = { name: "clock", description: "Tells.\nThe time.", tools: [{ name: "now", description: "Now" }] };
  assertEquals(
    toolsSection([clock]),
    "# Tools\n\n## clock\n\n// Tells.\n// The time.\nnamespace clock {\n\n// Now\ntype now = () => any;\n\n" +
      "} // namespace clock",
  );
  const variants = [
    { type: "string", default: 'q"t' },
    { type: "string", enum: ["a", 'b"c'], default: 'b"c' },
    { type: "string", enum: ["a"], default: "a" },
  ];
  const parameters = { type: "object", properties: { a: { type: "array", items: { oneOf: variants } } } };
  assertEquals(
    typeOf(parameters, ""),
    '{\na?: \n     | string // default: "q"t"\n     | "a" | "b"c" // default: "b\\"c"\n' +
      '     | "a" // default: "a"[],\n}',
  );
});

Deno.test("typeOf() does not throw on schemas that make no sense", () => {
  assertEquals(typeOf({ type: 7 }, ""), "any");
  assertEquals(typeOf({ type: [] }, ""), "any");
  assertEquals(typeOf({ type: "object", properties: { a: 3 }, required: "a" }, ""), "{\na?: any,\n}");
  assertEquals(
    typeOf({ type: "object", properties: { a: null, b: true, c: [1] } }, ""),
    "{\na?: any,\nb?: any,\nc?: any,\n}",
  );
  assertEquals(typeOf({ type: "array", items: 5 }, ""), "any[]");
  assertEquals(typeOf({ type: "array", items: null }, ""), "any[]");
  assertEquals(typeOf({ oneOf: [null, { type: "string" }, 1] }, ""), "\n | string");
});

Deno.test("toolsSection() writes properties in their order, numbers too", () => {
  const inner = `{"type": "object", "properties": {"z": {"type": "string"}, "2": {"type": "string", "default": "x"},
    "1": {"type": "string"}}}`;
  const parameters = parseWithNames(`{"type": "object", "properties": {"b": {"type": "number", "default": 1.0},
    "10": ${inner}, "a": {"oneOf": [{"type": "string"}], "default": {"y": 1, "3": [2.0, {"q": null, "0": true}]}}},
    "required": ["10"]}`) as JsonObject;
  // What openai-harmony 0.0.8 makes of it.
  const text =
    "# Tools\n\n## functions\n\nnamespace functions {\n\n// d\ntype f = (_: {\nb?: number, // default: 1.0\n" +
    '10: {\n    z?: string,\n    2?: string, // default: "x"\n    1?: string,\n    },\n' +
    '// default: {"y":1,"3":[2.0,{"q":null,"0":true}]}\na?:\n | string\n,\n}) => any;\n\n} // namespace functions';
  const tool = { name: "f", description: "d", parameters };
  assertEquals(toolsSection([{ name: "functions", tools: [tool] }]), text);
});

Deno.test("toolsSection() writes defaults as OpenAI's renderer does, 1.0 with its point", () => {
  // What openai-harmony 0.0.8 makes of `"default": ...`, by Rust's serde_json.
  const cases: [written: string, shown?: string][] = [
    ["1.0"],
    ["-1.0"],
    ["0.0"],
    ["-0.0"],
    ["-0", "0"],
    ["1e5", "100000.0"],
    ["1e15", "1000000000000000.0"],
    ["1e16"],
    ["1e17"],
    ["1.5e300"],
    ["1e-4", "0.0001"],
    ["1e-5", "0.00001"],
    ["1e-6"],
    ["1e-7"],
    ["123456789.25"],
    ["12345678901234567890"],
    ["18446744073709551615"],
    ["18446744073709551616", "1.8446744073709552e19"],
    ["-9223372036854775808"],
    ["-9223372036854775809", "-9.223372036854776e18"],
    ["123456789012345678901234567890", "1.2345678901234568e29"],
    ["0.1"],
    ["100"],
    ["7.0e0", "7.0"],
    ["2.50", "2.5"],
    ["1E2", "100.0"],
    ['[1.0, 2, {"a": 3.0}]', '[1.0,2,{"a":3.0}]'],
    ["1e22"],
    ["9007199254740993"],
    ["9007199254740993.0", "9007199254740992.0"],
    ["5e-324"],
    ["1.7976931348623157e308"],
  ];
  for (const [written, shown = written] of cases) {
    const parameters = parseAsPython(
      `{"type": "object", "properties": {"x": {"type": "number", "default": ${written}}}}`,
    ) as JsonObject;
    const text = toolsSection([{ name: "functions", tools: [{ name: "f", parameters }] }]);
    assertEquals(text.split("\n").find((line) => line.startsWith("x?")), `x?: number, // default: ${shown}`);
  }
  // Numbers in places of schemas make no sense, and are no objects.
  const odd = parseAsPython('{"type": "object", "properties": 1.0}') as JsonObject;
  assertEquals(typeOf(odd, ""), "{\n}");
});
