/**
 * How tools are described to a GPT-OSS model: JSON schemas as TypeScript-like types in a namespace, and the two tools
 * that the models were trained with. The layout is that of OpenAI's harmony renderer, blank for blank: models have seen
 * no other.
 */
import { isWrittenNumber, rustJson, writtenNames } from "../json_numbers.ts";
import { isObject, type JsonObject } from "../json_object.ts";

/** Numbers in their written form are objects to JavaScript. */
const isSchema = (value: unknown): value is JsonObject => isObject(value) && !isWrittenNumber(value);

/** A function that the model may call. */
export interface FunctionTool {
  readonly name: string;
  readonly description?: string;
  /** JSON schema of the one argument object; without it the function takes none. */
  readonly parameters?: JsonObject | null;
}

/** Functions under one heading. */
export interface ToolNamespace {
  readonly name: string;
  /** Shown as comments above the functions, or as plain text where there are no functions. */
  readonly description?: string;
  readonly tools: readonly FunctionTool[];
}

/** The `# Tools` section of a system or developer message. */
export function toolsSection(namespaces: readonly ToolNamespace[]): string {
  return ["# Tools", ...namespaces.map(namespaceSection)].join("\n\n");
}

function namespaceSection({ name, description, tools }: ToolNamespace): string {
  const lines = [`## ${name}`, ""];
  const comment = tools.length > 0 ? "// " : "";
  for (const line of linesOf(description)) lines.push(comment + line);
  if (tools.length > 0) {
    lines.push(`namespace ${name} {`, "");
    for (const tool of tools) {
      for (const line of linesOf(tool.description)) lines.push(`// ${line}`);
      const argument = isSchema(tool.parameters) ? `_: ${typeOf(tool.parameters, "")}` : "";
      lines.push(`type ${tool.name} = (${argument}) => any;`, "");
    }
    lines.push(`} // namespace ${name}`);
  }
  return lines.join("\n");
}

function linesOf(text: string | undefined): string[] {
  return text ? text.replace(/\r?\n$/, "").split(/\r?\n/) : [];
}

/** The TypeScript-like type of a JSON schema. Lines after the first start with `indent`. */
export function typeOf(schema: JsonObject, indent: string): string {
  const { oneOf, type } = schema as { oneOf?: unknown; type?: unknown };
  if (Array.isArray(oneOf)) {
    return oneOf.filter(isSchema).map((variant) => {
      // Here, and only here, OpenAI's renderer writes the default of an enumeration as JSON.
      const value = enumOf(variant).length > 0 && variant["default"] !== undefined
        ? `default: ${rustJson(variant["default"])}`
        : defaultOf(variant);
      return `\n${indent} | ${nullable(variant, `${indent}   `)}${trailing([text(variant["description"]), value])}`;
    }).join("");
  }
  if (Array.isArray(type)) {
    const names = type.filter((name) => typeof name === "string").map(simpleType);
    if (names.length > 0) return names.join(" | ");
  }
  switch (type) {
    case "object":
      return objectType(schema, indent);
    case "string": {
      const names = enumOf(schema).filter((value) => typeof value === "string");
      return names.length > 0 ? names.map((name) => `"${name}"`).join(" | ") : "string";
    }
    case "number":
    case "integer":
    case "boolean":
      return simpleType(type);
    case "array":
      if (schema["items"] === undefined) return "Array<any>";
      return `${typeOf(isSchema(schema["items"]) ? schema["items"] : {}, indent)}[]`;
    default:
      return "any";
  }
}

function objectType(schema: JsonObject, indent: string): string {
  const required = new Set(Array.isArray(schema["required"]) ? schema["required"] : []);
  const description = text(schema["description"]);
  let out = description === null ? "{\n" : `${indent}// ${description}\n{\n`;
  const properties = isSchema(schema["properties"]) ? schema["properties"] : {};
  for (const key of writtenNames(properties) ?? Object.keys(properties)) {
    const value = properties[key];
    out += property(key + (required.has(key) ? "" : "?"), isSchema(value) ? value : {}, indent);
  }
  return `${out}${indent}}`;
}

/** One property: comments, name, type. */
function property(name: string, schema: JsonObject, indent: string): string {
  const variants = Array.isArray(schema["oneOf"]) ? schema["oneOf"].filter(isSchema) : null;
  const description = text(schema["description"]);
  const title = text(schema["title"]);
  const shown = description !== null && description !== text(variants?.[0]?.["description"]);
  const about = shown || (variants === null && description !== null) ? `${indent}// ${description}\n` : "";
  let out = title === null ? "" : `${indent}// ${title}\n${indent}//\n`;
  // Of a property with variants, the description comes after the examples.
  if (variants === null) out += about;
  const examples = Array.isArray(schema["examples"]) ? schema["examples"] : [];
  if (examples.length > 0) out += `${indent}// Examples:\n`;
  for (const example of examples) {
    if (typeof example === "string") out += `${indent}// - "${example}"\n`;
  }
  const value = defaultOf(schema);
  if (variants === null) {
    return `${out}${indent}${name}: ${nullable(schema, `${indent}    `)},${trailing([value])}\n`;
  }
  out += about + (value === null ? "" : `${indent}// ${value}\n`) + `${indent}${name}:\n`;
  variants.forEach((variant, i) => {
    const own = text(variant["description"]);
    // A description above already speaks for the first variant.
    const note = (i === 0 && shown) || own === description ? null : own;
    out += `${indent} | ${nullable(variant, `${indent}   `)}${trailing([note, defaultOf(variant)])}\n`;
  });
  return `${out}${indent},\n`;
}

function nullable(schema: JsonObject, indent: string): string {
  const type = typeOf(schema, indent);
  return schema["nullable"] === true && !type.includes("null") ? `${type} | null` : type;
}

/** `default: ...`; names of an enumeration stand without quotes, other strings with. */
function defaultOf(schema: JsonObject): string | null {
  const value = schema["default"];
  if (value === undefined) return null;
  if (typeof value !== "string") return `default: ${rustJson(value)}`;
  return `default: ${enumOf(schema).length > 0 ? value : `"${value}"`}`;
}

function enumOf(schema: JsonObject): readonly unknown[] {
  return Array.isArray(schema["enum"]) ? schema["enum"] : [];
}

function trailing(notes: readonly (string | null)[]): string {
  const said = notes.filter((note) => note !== null);
  return said.length === 0 ? "" : ` // ${said.join(" ")}`;
}

function simpleType(name: string): string {
  return name === "integer" ? "number" : name;
}

function text(value: unknown): string | null {
  return typeof value === "string" ? value : null;
}

/** The browser that GPT-OSS models were trained with. */
export const BROWSER: ToolNamespace = {
  name: "browser",
  description: [
    "Tool for browsing.",
    "The `cursor` appears in brackets before each browsing display: `[{cursor}]`.",
    "Cite information from the tool using the following format:",
    "`【{cursor}†L{line_start}(-L{line_end})?】`, for example: `【6†L9-L11】` or `【8†L3】`.",
    "Do not quote more than 10 words directly from the tool output.",
    "sources=web (default: web)",
  ].join("\n"),
  tools: [
    {
      name: "search",
      description: "Searches for information related to `query` and displays `topn` results.",
      parameters: {
        type: "object",
        properties: { query: { type: "string" }, topn: { type: "number", default: 10 }, source: { type: "string" } },
        required: ["query"],
      },
    },
    {
      name: "open",
      description: [
        "Opens the link `id` from the page indicated by `cursor` starting at line number `loc`, showing `num_lines` " +
        "lines.",
        "Valid link ids are displayed with the formatting: `【{id}†.*】`.",
        "If `cursor` is not provided, the most recent page is implied.",
        "If `id` is a string, it is treated as a fully qualified URL associated with `source`.",
        "If `loc` is not provided, the viewport will be positioned at the beginning of the document or centered on " +
        "the most relevant passage, if available.",
        "Use this function without `id` to scroll to a new location of an opened page.",
      ].join("\n"),
      parameters: {
        type: "object",
        properties: {
          id: { type: ["number", "string"], default: -1 },
          cursor: { type: "number", default: -1 },
          loc: { type: "number", default: -1 },
          num_lines: { type: "number", default: -1 },
          view_source: { type: "boolean", default: false },
          source: { type: "string" },
        },
      },
    },
    {
      name: "find",
      description: "Finds exact matches of `pattern` in the current page, or the page given by `cursor`.",
      parameters: {
        type: "object",
        properties: { pattern: { type: "string" }, cursor: { type: "number", default: -1 } },
        required: ["pattern"],
      },
    },
  ],
};

/** The Python interpreter that GPT-OSS models were trained with; it takes code, not an argument object. */
export const PYTHON: ToolNamespace = {
  name: "python",
  description:
    "Use this tool to execute Python code in your chain of thought. The code will not be shown to the user. This " +
    "tool should be used for internal reasoning, but not for code that is intended to be visible to the user (e.g. " +
    "when creating plots, tables, or files).\n\nWhen you send a message containing Python code to python, it will be " +
    "executed in a stateful Jupyter notebook environment. python will respond with the output of the execution or " +
    "time out after 120.0 seconds. The drive at '/mnt/data' can be used to save and persist user files. Internet " +
    "access for this session is UNKNOWN. Depends on the cluster.",
  tools: [],
};
