/** `mxoss devices --verify`: whether a GPU computes what it should. */
import { counted } from "../amounts.ts";
import { openGpuLibrary } from "../backends/gpu/devices.ts";
import { machineFacts } from "../bench/machine.ts";
import { refuseOut, writeOutFile } from "./places.ts";
import { FailureError } from "../errors.ts";
import { nothingSoFar, resultsOf, verify, type VerifyRequest } from "../verify/run.ts";
import { VerifyResults } from "../verify/results.ts";
import type { DEVICES } from "./devices_options.ts";
import { EXIT_INTERRUPTED, Interrupt, INTERRUPTED } from "./interrupt.ts";
import type { OptionValues } from "./options.ts";
import { ProgressBar } from "./progress.ts";
import { said } from "./spelling.ts";
import { folded } from "./table.ts";
import { note, writeLines, writeOut } from "./terminal.ts";
import { issueText, verifyLines } from "./verify_text.ts";
import { revision, VERSION } from "./version.ts";

/**
 * Runs the command.
 *
 * @returns The exit code: 1 if anything differs or could not be run.
 */
export async function verifyCommand(options: OptionValues<typeof DEVICES.options>): Promise<number> {
  const { out, force, json, issue, filter = null, device = 0, "hip-library": hipLibrary } = options;
  if (out !== undefined) refuseOut(out, force);
  const backend = options.backend ?? firstWithDevice(hipLibrary);
  const request: VerifyRequest = { backend, device, hipLibrary, filter };

  const found = nothingSoFar(), started = performance.now();
  using interrupt = new Interrupt();
  const ended = await interrupt.race(verified(request, found));
  const { about } = found;
  if (about === null) {
    note("interrupted before anything was verified");
    return EXIT_INTERRUPTED;
  }
  const said = { mxoss: `${VERSION}, revision ${revision()}`, system: systemText() };
  const seconds = Math.round((performance.now() - started) / 100) / 10;
  const results = VerifyResults.parse(
    resultsOf({ ...found, about }, request, { ...said, seconds }, ended === INTERRUPTED),
  );
  try {
    if (out !== undefined && ended !== INTERRUPTED) writeOutFile(out, jsonText(results), force);
  } finally {
    // A disk that has no room for them does not take the results with it.
    await (json
      ? writeOut(jsonText(results))
      : issue
      ? writeOut(issueText(results))
      : writeLines(folded(verifyLines(results))));
  }
  if (ended === INTERRUPTED) {
    note(`interrupted${out === undefined ? "" : `: ${out} was not written`}`);
    return EXIT_INTERRUPTED;
  }
  return results.passed ? 0 : 1;
}

async function verified(request: VerifyRequest, found: ReturnType<typeof nothingSoFar>): Promise<void> {
  using bar = new ProgressBar("verifying", "steps");
  const open = () => openGpuLibrary(request.backend, request.hipLibrary);
  await verify(request, open, found, (done, total, now) => bar.update(done, total, now));
}

/**
 * The first library that finds a device; of those before, what is wrong with each is said where none does.
 *
 * @throws {FailureError} where none does.
 */
function firstWithDevice(hipLibrary: string | undefined): "hip" | "cuda" {
  const problems: string[] = [];
  for (const kind of ["hip", "cuda"] as const) {
    try {
      using library = openGpuLibrary(kind, hipLibrary);
      if (library.deviceCount() > 0) return kind;
      problems.push(`${kind}: no device`);
    } catch (thrown) {
      if (!(thrown instanceof FailureError)) throw thrown;
      problems.push(`${kind}: ${said(thrown.text)}`);
    }
  }
  // Each on a line of its own: together they would be longer than a line that says what went wrong.
  for (const problem of problems) note(problem);
  throw new FailureError("no GPU to verify");
}

function systemText(): string {
  const { processor, threads, system, deno } = machineFacts();
  return `${processor ?? "unknown processor"}, ${counted(threads, "thread")}, ${system}, Deno ${deno}`;
}

const jsonText = (results: VerifyResults) => `${JSON.stringify(results, null, 2)}\n`;
