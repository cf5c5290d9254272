import { schemaDocument } from "../../src/eval/schema_document.ts";
import { assertEquals } from "../assert.ts";

Deno.test("docs/report-schema.md says what the schemas say", async () => {
  const written = await Deno.readTextFile(new URL("../../docs/report-schema.md", import.meta.url));
  assertEquals(
    written,
    schemaDocument(),
    "deno run --allow-read --allow-write src/eval/schema_document.ts writes it anew",
  );
});
