/**
 * The documentation of `results.json`, from the schemas themselves.
 *
 *     deno run --allow-read --allow-write src/eval/schema_document.ts
 */
import type { z } from "zod";
import { type JsonSchema, jsonSchema, unwrap } from "./json_schema.ts";
import { CompareResults, Gsm8kResults, PerplexityResults, SCHEMA_VERSION } from "./results_schema.ts";

const INTRODUCTION = `<!-- deno-fmt-ignore-file -->
# results.json

\`mxoss eval\`, \`mxoss compare\` and \`mxoss report\` write \`results.json\` into the directory that \`--out\` names,
beside \`report.html\`. This page is made from the schemas that every file is checked against before it is written
(\`src/eval/results_schema.ts\`), version ${SCHEMA_VERSION}. The version grows when a field changes its meaning or goes
away; new fields may come at any time.

- \`schema\` says which of the three forms a file has.
- Nothing depends on when, how fast or in how many attempts the numbers were computed: the same command on the same
  files gives the same bytes. Threads are noted, but no result depends on them.
- The last field, \`crc32\`, is the CRC-32 of the JSON without it and without blanks, numbers as JavaScript writes them:
  \`mxoss report\` refuses a file that was changed. Files of earlier versions have no such field, and are taken.
- Numbers that are not finite are null, and so is a field whose type says so where there is nothing that it could say:
  \`cells[].reliability\` of \`mxoss eval gsm8k\`, for one, where \`protocol.decoding.log_probabilities\` is false. What
  may be null is part of the version: a field that becomes so later makes a new one.
- A \`number\` is written with a point or an exponent also where it is whole (\`1.0\`), an \`integer\` never:
  readers that tell floats from integers find the same type in every file.
- Other files in the directory are journals, one JSON object a line, from which an interrupted run goes on:
  \`answers.CELL.jsonl\` (every reply with its tokens), \`nll.CELL.jsonl\`, \`divergence.CELL.jsonl\`,
  \`predictions.CELL.jsonl\` (every token's KL and log probabilities), \`samples.CELL.jsonl\` and
  \`worst.CELL.jsonl\` (texts of replies that differ, and of the tokens with the largest KL), \`calibration.jsonl\`,
  the scales that \`--calibrate\` measured, and \`weights.jsonl\`, the hash of the weights with place, size and times
  of their files. \`mxoss report\` reads the first six where it makes one run of several. \`samples.jsonl\` of a
  comparison has the text where both sides would have chosen differently.
- Each line of a journal ends with the field \`crc32\`: the CRC-32 of the file up to and with that line, these
  fields taken out. Of the first three lines it is what
  \`head -n 3 FILE | sed 's/,"crc32":"[^"]*"}$/}/' | gzip -c | tail -c 8 | od -An -tx4 -N4\` prints.
  A line that was changed, lost, doubled or moved is refused by its number; one without its end was being written
  when the run was killed, and is made again. Earlier versions wrote no such field: their journals are read, and go
  on with it.
- \`samples.html\` lies beside \`report.html\` where settings were compared and there is something to show.
- \`samples_gsm8k_CELL.jsonl\` (\`--export lm-eval\`) has the form of lm-eval's \`--log_samples\`:
  every problem once for each filter.
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
  const rows = fields(jsonSchema(schema), "");
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
