/** The directory that `--out` names. */
import { noteFolded } from "../table.ts";
import { joined } from "../../paths.ts";
import { quotedPath, UsageError } from "../spelling.ts";
import { z } from "zod";
import { refuseSpecial } from "../../checkpoint/atomic.ts";
import { refuseModel } from "../places.ts";
import { readWhole } from "../../read.ts";
import { InputError } from "../../errors.ts";
import { firstDifference } from "../../eval/journal.ts";
import { checkedResults } from "../../eval/results_file.ts";

/** Names of the three schemas, as people know the commands. */
export const COMMANDS_OF_SCHEMAS: Readonly<Record<string, string>> = {
  "mxoss.eval.gsm8k": "mxoss eval gsm8k",
  "mxoss.eval.perplexity": "mxoss eval perplexity",
  "mxoss.compare": "mxoss compare",
};

/** Largest results.json that is read back, in bytes. */
export const MAX_RESULTS_BYTES = 128 * 1024 * 1024;

/** Results of one kind: what their protocol looks like, and by which part of it two of them belong together. */
export interface ResultsKind<Protocol> {
  readonly schema: string;
  readonly protocol: z.ZodType<Protocol>;
  identity(protocol: Protocol): unknown;
}

/** As much of a results file as is looked at. */
const Head = z.object({ schema: z.string(), protocol: z.unknown() });

/**
 * Refuses a directory that has a model, or results that a run would overwrite though they are of something else.
 *
 * @param own Identity of the run's own results.
 * @throws {InputError} naming the file and what differs, or what is there instead of a file.
 */
export function refuseOtherResults<Protocol>(directory: string, kind: ResultsKind<Protocol>, own: unknown): void {
  const { schema } = kind, path = `${directory}/results.json`;
  refuseModel(directory);
  const [found] = [path, `${directory}/report.html`].map(refuseSpecial);
  if (found === null) return;
  let there: unknown, json: unknown;
  try {
    json = JSON.parse(new TextDecoder().decode(readWhole(path, MAX_RESULTS_BYTES)));
    const results = Head.parse(json);
    if (results.schema !== schema) {
      const got = COMMANDS_OF_SCHEMAS[results.schema];
      const what = got === undefined ? "another file" : `those of ${got}`;
      throw UsageError.of(
        "wrong_value",
        { file: path },
        `results of ${COMMANDS_OF_SCHEMAS[schema]}`,
        `${what}; choose another --out`,
      );
    }
    there = kind.identity(kind.protocol.parse(results.protocol));
  } catch (thrown) {
    if (thrown instanceof InputError || thrown instanceof Deno.errors.NotCapable) throw thrown;
    checkedResults(json, path);
    throw UsageError.of(
      "wrong_value",
      { file: path },
      `results of ${COMMANDS_OF_SCHEMAS[schema]}`,
      "another file; choose another --out",
    );
  }
  const differs = firstDifference(there, own);
  if (differs !== null) {
    checkedResults(json, path);
    throw UsageError.saying(
      "changed",
      { file: path },
      `was written with other settings (${differs}); choose another --out`,
    );
  }
}

/**
 * Says where the report of a finished run lies, and what to do next.
 *
 * @param several Whether settings were compared.
 */
export function sayWhere(out: string, several: boolean): void {
  const page = joined(out, "report.html");
  noteFolded(`report: ${page}, for a browser; mxoss report ${quotedPath(out)} prints these tables again`);
  if (several) {
    noteFolded("next: mxoss compare --text FILE --b scheme=... shows two settings operation by operation");
  }
}
