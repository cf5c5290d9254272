/** `mxoss convert`: a checkpoint from a GGUF file. */
import { bytesText, counted } from "../amounts.ts";
import { firstOf, printable } from "../describe.ts";
import { type Conversion, convert, planConversion } from "../quantize/gguf/convert.ts";
import { Sources } from "../quantize/hashes.ts";
import { Journal, makeRoom } from "../quantize/journal.ts";
import type { CONVERT } from "./convert_options.ts";
import { EXIT_INTERRUPTED, Interrupt } from "./interrupt.ts";
import type { Parsed } from "./options.ts";
import { ProgressBar } from "./progress.ts";
import { note, writeLines } from "./terminal.ts";
import { VERSION } from "./version.ts";

/** Runs the command; gives its exit code. */
export async function convertCommand({ options }: Parsed<typeof CONVERT.options>): Promise<number> {
  const { out, "shard-size": shardBytes } = options, conversion = await planConversion(options.gguf);
  using _room = makeRoom(out);
  using interrupt = new Interrupt();
  const sources = await readSources(conversion, interrupt);
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
    watch: {
      onProgress: (done, total) => bar.update(done, total),
      stop: () => interrupt.heard,
      onWarning: (line) => note(`warning: ${line}`),
    },
  });
  if (written === null) {
    if (journal.isEmpty) return interruptedBefore();
    note("interrupted; the same command goes on where it stopped");
    return EXIT_INTERRUPTED;
  }
  warnOfLoss(conversion);
  await writeLines([`${out}: ${counted(written.files.length, "file")}, ${bytesText(written.bytes)}`]);
  return 0;
}

/** Numbers that are exactly the file's are not the published model's where the file has rounded them. */
function warnOfLoss({ rounded }: Conversion): void {
  if (rounded.length === 0) return;
  const names = firstOf(rounded.map(printable));
  note(`warning: ${names}: Q8_0, rounded from what the model had; accuracy is that of the file, not of the model`);
}

function interruptedBefore(): number {
  note("interrupted before any weights were written; the same command begins anew");
  return EXIT_INTERRUPTED;
}

/** The hashes of the files, which an interrupted run must find again; null if Ctrl-C came first. */
async function readSources({ files }: Conversion, interrupt: Interrupt): Promise<Sources | null> {
  using bar = new ProgressBar("hashing");
  return await Sources.read(files, {
    onProgress: (done, total) => bar.update(done, total),
    stop: () => interrupt.heard,
  });
}
