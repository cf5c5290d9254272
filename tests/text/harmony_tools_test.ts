import { assertEquals } from "../assert.ts";
import { type FunctionTool, toolsSection, typeOf } from "../../src/text/harmony_tools.ts";
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

Deno.test("typeOf() does not throw on schemas that make no sense", () => {
  assertEquals(typeOf({ type: 7 }, ""), "any");
  assertEquals(typeOf({ type: [] }, ""), "any");
  assertEquals(typeOf({ type: "object", properties: { a: 3 }, required: "a" }, ""), "{\na?: any,\n}");
  assertEquals(typeOf({ type: "array", items: 5 }, ""), "any[]");
});
