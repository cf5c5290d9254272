/**
 * Writes what kernels/ABI.md says of structs and entry points, from the signatures. All else on that page is written by
 * hand.
 *
 *     deno task kernels:page
 */
import { FailureError } from "../../src/errors.ts";
import type { Manifest } from "../manifest.ts";
import { ALL_SIGNATURES, matches } from "./signatures.ts";
import type { Section, Signature } from "./signature.ts";
import { declaration, layoutOf, NUMBER_FORMAT, STRUCTS, type StructType } from "./types.ts";

const PAGE = new URL("../ABI.md", import.meta.url);
const MANIFEST = new URL("../build/manifest.json", import.meta.url);

/** Notes on members, for the page. */
const NOTES: { readonly [S in StructType]: { readonly [M in keyof (typeof STRUCTS)[S]]?: string } } = {
  MxLinear: {
    weight: "a null weight means: not on this rank",
    scale: "mx: u8 e8m0 [rows][cols/32]; fp8: f32[rows] or null; else null",
    bias: "[rows] or null",
    rowStride: "bytes between rows (transposed formats: between input features)",
    scaleStride: "bytes between rows of e8m0 scales",
    rows: "outputs",
    cols: "inputs",
    tensorScale: "fp8 without row scales; 1 otherwise",
    flags: "bit 0: fp8 is e4m3fnuz",
    reserved: "0",
  },
  MxGroup: { count: "1..4" },
  MxInput: {
    xRows: "output row i reads x row x_rows[i]; null: row i",
    norm: "RMSNorm weight [cols], applied first; null: none",
    kind: "QDQ kind, below",
    rule: "0 even, 1 floor, 2 rceil (MX kinds)",
    scale: "fp8 static scale",
    round: "rounding of the norm's result and of dequantized fp8",
  },
  MxCache: {
    pages: "[slots][table_stride]: the page of positions 64*i .. 64*i + 63",
    headStride: "bytes between kv heads: all pages of a head lie one after the other",
    format: Object.entries(NUMBER_FORMAT).filter(([name]) => name !== "f16").map(([name, n]) => `${n} ${name}`).join(
      ", ",
    ),
    tableStride: "entries of a slot",
    window: "0: all keys, else keys j > p - window",
    kScale: "fp8: number = code * scale",
    vScale: "the same of values",
    softmaxScale: "1/sqrt(head_dim)",
  },
};
const USES: Readonly<Record<StructType, string>> = {
  MxLinear: "also the element of the device arrays of experts",
  MxGroup: "up to 4 linears of one weight format that read the same input",
  MxInput: "where x comes from and what happens to it first",
  MxCache: "one layer's KV cache",
};

/** A struct as C has it, with the offset of every member. */
function structText(name: StructType): string {
  const { offsets, bytes, alignment } = layoutOf(STRUCTS[name]), notes: Readonly<Record<string, string>> = NOTES[name];
  const members = Object.entries(STRUCTS[name]).map(([member, type]) => {
    const text = `      ${declaration(member, type)};`;
    return `${text.padEnd(34)}// ${String(offsets[member]).padStart(3)}  ${notes[member] ?? ""}`.trimEnd();
  });
  const head = `    struct ${name} {`.padEnd(34) + `// ${bytes} bytes, ${alignment}-aligned: ${USES[name]}`;
  return [head, ...members, "    };"].join("\n");
}

/** Arguments of an entry point as the page has them. */
function argumentsText({ arguments: all, notes }: Signature): string {
  return Object.entries(all).map(([name, type]) => {
    const note = notes?.[name];
    return declaration(name, type, true).replace("const ", "") + (note ? ` (${note})` : "");
  }).join(", ").replaceAll("|", "\\|");
}

/** Threads of a block, from the first architecture that has such an entry point. */
function threadsOf(manifest: Manifest, names: readonly string[]): number {
  const entries = Object.values(manifest.architectures).flatMap(({ entries }) => Object.entries(entries));
  return entries.find(([entry]) => names.some((name) => matches(name, entry)))![1].threads;
}

/** A Markdown table with columns of equal width, as the formatter leaves it. */
function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const line = (row: readonly string[]) => `| ${row.map((cell, i) => cell.padEnd(widths[i]!)).join(" | ")} |`;
  return [line(rows[0]!), line(widths.map((width) => "-".repeat(width))), ...rows.slice(1).map(line)].join("\n");
}

/** The table of a section's entry points. */
function sectionText(section: Section, manifest: Manifest): string {
  const signatures = Object.values(ALL_SIGNATURES).filter((s) => s.section === section);
  const told = signatures.some(({ meaning }) => meaning !== undefined);
  const rows = signatures.map((s) => [
    s.names.map((name) => `\`${name}\``).join(", "),
    argumentsText(s),
    s.grid,
    String(threadsOf(manifest, s.names)),
    ...(told ? [s.meaning ?? ""] : []),
  ]);
  return table([["entry", "arguments", "grid", "threads", ...(told ? ["meaning"] : [])], ...rows]);
}

/**
 * The page with its generated parts written anew.
 *
 * @param page The page as it is: each generated part stands between `<!-- signatures: NAME -->` and `<!-- end -->`.
 */
export function writtenPage(page: string, manifest: Manifest): string {
  const sections = new Set<string>(Object.values(ALL_SIGNATURES).map(({ section }) => section));
  const seen = new Set<string>();
  const written = page.replaceAll(
    /(<!-- signatures: (\w+) -->\n)[^]*?(\n<!-- end -->)/g,
    (_, from, name: string, to) => {
      seen.add(name);
      if (name === "structs") {
        return `${from}\n${(Object.keys(STRUCTS) as StructType[]).map(structText).join("\n")}\n${to}`;
      }
      if (!sections.has(name)) throw new FailureError(`kernels/ABI.md: there are no signatures of ${name}`);
      return `${from}\n${sectionText(name as Section, manifest)}\n${to}`;
    },
  );
  const missing = [...sections, "structs"].filter((name) => !seen.has(name));
  if (missing.length > 0) {
    throw new FailureError(`kernels/ABI.md: has no place for the signatures of ${missing.join(", ")}`);
  }
  return written;
}

if (import.meta.main) {
  const manifest = JSON.parse(await Deno.readTextFile(MANIFEST)) as Manifest;
  await Deno.writeTextFile(PAGE, writtenPage(await Deno.readTextFile(PAGE), manifest));
}
