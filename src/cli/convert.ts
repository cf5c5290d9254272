/** `mxoss convert`: a checkpoint from a GGUF file. */
import { bytesText, counted } from "../amounts.ts";
import { firstOf, printable } from "../describe.ts";
import { convert, type GgufPlan, planConversion } from "../quantize/gguf/convert.ts";
import { Journal, makeRoom } from "../quantize/journal.ts";
import type { CONVERT } from "./convert_options.ts";
import { Interrupt } from "./interrupt.ts";
import type { Parsed } from "./options.ts";
import { ProgressBar } from "./progress.ts";
import { note, writeLines } from "./terminal.ts";
import { VERSION } from "./version.ts";
import { interruptedBefore, interruptedWriting, readSources, watched } from "./writing.ts";

/** Runs the command; gives its exit code. */
export async function convertCommand({ options }: Parsed<typeof CONVERT.options>): Promise<number> {
  const { out, "shard-size": shardBytes } = options, conversion = await planConversion(options.gguf);
  using _room = makeRoom(out);
  using interrupt = new Interrupt();
  const sources = await readSources(conversion.files, interrupt);
  if (sources === null) return interruptedBefore();
  using journal = Journal.open(out, {
    settings: JSON.stringify({ mxoss: VERSION, from: "gguf", shardBytes }),
    sources,
  });
  const { recordedFiles } = journal;
  if (recordedFiles > 0) {
    note(`note: ${out}: goes on from an interrupted run, which left ${counted(recordedFiles, "finished weight file")}`);
  }
  using bar = new ProgressBar("writing");
  const written = await convert(conversion, shardBytes, {
    ...{ journal, sources },
    watch: watched(bar, interrupt),
  });
  if (written === null) return interruptedWriting(journal);
  warnOfLoss(conversion);
  await writeLines([`${out}: ${counted(written.files.length, "file")}, ${bytesText(written.bytes)}`]);
  return 0;
}

/** Numbers that are exactly the file's are not the published model's where the file has rounded them. */
function warnOfLoss({ rounded }: GgufPlan): void {
  if (rounded.length === 0) return;
  const names = firstOf(rounded.map(printable));
  note(`warning: ${names}: Q8_0, rounded from what the model had; accuracy is that of the file, not of the model`);
}
