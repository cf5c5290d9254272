/** `mxoss list`: the models of the Hugging Face cache and of directories, without reading their weights. */
import { bytesText } from "../amounts.ts";
import { InputError } from "../errors.ts";
import { availableMemory, fits } from "../memory.ts";
import { hubCache } from "./hub.ts";
import type { LIST } from "./list_options.ts";
import { listDirectory, type Listed, listHub } from "./listed.ts";
import type { Parsed } from "./options.ts";
import { refuseAbsent } from "./places.ts";
import { printableLine } from "../printable.ts";
import { COMMAND_LINE } from "./spelling.ts";
import { folded, linesOf } from "./table.ts";
import { note, writeLines, writeOut } from "./terminal.ts";

/** A model and whether memory holds it; null where it cannot be opened, or where the memory is not known. */
interface Row extends Listed {
  readonly fits: boolean | null;
}

/** Runs the command; gives its exit code. */
export async function listCommand({ options, positionals = [] }: Parsed<typeof LIST.options>): Promise<number> {
  for (const dir of positionals) refuseAbsent(dir);
  const memory = availableMemory(), cache = cacheFolder();
  const found = [...(cache === null ? [] : listHub(cache)), ...positionals.flatMap(listDirectory)];
  const rows = found.map((model): Row => {
    const { weight_bytes: weights, cache_bytes: keys } = model;
    const known = memory !== null && weights !== null && keys !== null;
    return { ...model, fits: known ? fits({ weights, cache: keys, work: 0 }, memory) : null };
  });
  if (options.json) {
    const report = { schema: "mxoss.list", version: 1, cache, memory, models: rows };
    await writeOut(`${JSON.stringify(report, null, 2)}\n`);
    return 0;
  }
  if (rows.length > 0) await writeLines(lines(rows));
  const places = [...(cache === null ? [] : [`the Hugging Face cache ${cache}`]), ...positionals];
  if (rows.length === 0) note(`no models in ${places.join(", ") || "any place: no Hugging Face cache is known"}`);
  if (memory !== null && rows.length > 0) note(`memory that can be had: ${bytesText(memory.bytes)} (${memory.by})`);
  return 0;
}

/** The cache's folder; where the environment names none, directories can be listed all the same. */
function cacheFolder(): string | null {
  try {
    return hubCache();
  } catch (thrown) {
    if (!(thrown instanceof InputError)) throw thrown;
    note(`warning: ${thrown.line(COMMAND_LINE)}`);
    return null;
  }
}

function lines(rows: readonly Row[]): string[] {
  const heads = ["model", "revision", "layout", "scheme", "weights", "in memory", ""];
  const texts = rows.map(({ name, commit, refs, layout, scheme, ...row }) => [
    name,
    [...refs, ...(commit === null ? [] : [commit.slice(0, 8)])].join(" "),
    layout ?? "-",
    scheme ?? "-",
    bytesText(row.weight_bytes ?? row.file_bytes),
    row.fits === null ? "-" : row.fits ? "yes" : "no",
    row.problem ?? remark(row),
  ]);
  return folded(linesOf({ heads, rows: texts, right: [4] }));
}

/** What is to be known of weights that look like others. */
function remark({ quantized_before: before }: Pick<Row, "quantized_before">): string {
  return before === null || before.length === 0 ? "" : `quantized before, to ${printableLine(before.join(" and "))}`;
}
