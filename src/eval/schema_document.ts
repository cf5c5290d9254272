/**
 * The documentation of `results.json`, from the schemas themselves.
 *
 *     deno run --allow-read --allow-write src/eval/schema_document.ts
 */
import { z } from "zod";
import { CompareResults, Gsm8kResults, PerplexityResults, SCHEMA_VERSION } from "./results_schema.ts";

/** The part of JSON Schema that zod writes for these schemas. */
interface JsonSchema {
  readonly description?: string;
  readonly type?: string | readonly string[];
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly JsonSchema[];
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly items?: JsonSchema;
}

const INTRODUCTION = `<!-- deno-fmt-ignore-file -->
# results.json

\`mxoss eval\` and \`mxoss compare\` write \`results.json\` into the directory that \`--out\` names, beside \`report.html\`.
This page is made from the schemas that every file is checked against before it is written
(\`src/eval/results_schema.ts\`), version ${SCHEMA_VERSION}. The version grows when a field changes its meaning or goes away; new fields may
come at any time.

- \`schema\` says which of the three forms a file has.
- Nothing depends on when, how fast or in how many attempts the numbers were computed: the same command on the same files gives
  the same bytes. Threads are noted, but no result depends on them.
- Numbers that are not finite are null.
- Other files in the directory are journals, one JSON object a line, from which an interrupted run goes on:
  \`answers.CELL.jsonl\` (every reply with its tokens), \`nll.CELL.jsonl\`, \`divergence.CELL.jsonl\`.
- \`samples_gsm8k_CELL.jsonl\` (\`--export lm-eval\`) has the form of lm-eval's \`--log_samples\`: every problem once for each filter.
`;

/** The whole page. */
export function schemaDocument(): string {
  return [
    INTRODUCTION,
    ...table("mxoss eval gsm8k", Gsm8kResults),
    ...table("mxoss eval perplexity", PerplexityResults),
    ...table("mxoss compare", CompareResults),
  ].join("\n");
}

function table(command: string, schema: z.ZodType): string[] {
  const rows = fields(z.toJSONSchema(schema) as JsonSchema, "");
  return [
    `## ${command}`,
    "",
    "| field | type | meaning |",
    "| --- | --- | --- |",
    ...rows.map(([name, type, meaning]) => `| \`${name}\` | ${type} | ${meaning} |`),
    "",
  ];
}

function fields(schema: JsonSchema, prefix: string): [name: string, type: string, meaning: string][] {
  return Object.entries(schema.properties ?? {}).flatMap(([key, inner]) => {
    const name = prefix === "" ? key : `${prefix}.${key}`;
    const { shape, nullable } = unwrap(inner);
    const row: [string, string, string] = [
      name,
      typeName(shape) + (nullable ? " or null" : ""),
      inner.description ?? shape.description ?? "",
    ];
    // Comparisons have one form wherever they stand.
    if (key === "divergence" && prefix !== "") {
      row[2] += "; fields as under `divergence` of `mxoss compare`";
      return [row];
    }
    const item = shape.items === undefined ? null : unwrap(shape.items).shape;
    return [row, ...fields(shape, name), ...(item === null ? [] : fields(item, `${name}[]`))];
  });
}

function unwrap(schema: JsonSchema): { shape: JsonSchema; nullable: boolean } {
  if (Array.isArray(schema.type)) {
    const [type] = schema.type.filter((t) => t !== "null");
    return { shape: { ...schema, type }, nullable: schema.type.includes("null") };
  }
  const shapes = schema.anyOf?.filter(({ type }) => type !== "null") ?? [];
  return shapes.length === 1 ? { shape: shapes[0]!, nullable: true } : { shape: schema, nullable: false };
}

function typeName({ type, const: constant, enum: choices, items }: JsonSchema): string {
  if (constant !== undefined) return `\`${JSON.stringify(constant)}\``;
  if (choices !== undefined) return choices.map((choice) => `\`${JSON.stringify(choice)}\``).join(", ");
  if (items !== undefined) {
    const { shape, nullable } = unwrap(items);
    return `array of ${typeName(shape)}${nullable ? " or null" : ""}`;
  }
  return typeof type === "string" ? type : "object";
}

if (import.meta.main) {
  await Deno.writeTextFile(new URL("../../docs/report-schema.md", import.meta.url), schemaDocument());
}
