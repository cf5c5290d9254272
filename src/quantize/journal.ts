/**
 * The directory that a checkpoint is written into, and the note in it that lets an interrupted run go on. config.json, without which
 * no reader takes the directory for a checkpoint, comes last.
 */
import * as z from "zod";
import { cannotWrite, isTemporaryName, syncDirectory, writeWhole } from "../checkpoint/atomic.ts";
import { readable, readJson } from "../checkpoint/read.ts";
import { openSafetensors } from "../checkpoint/safetensors.ts";
import type { KvScales } from "../checkpoint/source.ts";
import { validate } from "../checkpoint/validate.ts";
import type { WrittenTensor } from "../checkpoint/write_safetensors.ts";
import { InputError, reason } from "../errors.ts";
import type { Observed } from "./observe.ts";

/** Name of the note. */
export const JOURNAL = "quantize.journal.json";
const MAX_JOURNAL_BYTES = 1 << 28;

const scales = z.object({ k: z.number(), v: z.number() });
const Note = z.object({
  run: z.string(),
  observed: z.object({
    inputs: z.record(z.string(), z.number()),
    kv: z.array(scales),
    unseenExperts: z.number(),
  }).nullable(),
}, { error: "the note of an interrupted run" });

/** A directory that is being filled. */
export class Journal {
  /** Scales that were calibrated before, if any. */
  observed: Observed | null;

  private constructor(readonly dir: string, readonly run: string, observed: Observed | null) {
    this.observed = observed;
  }

  /**
   * Starts in a new or empty directory, or goes on where a run with the same settings was interrupted.
   *
   * @param run All that the result depends on, in one text.
   * @throws {InputError} where the directory holds anything else.
   */
  static open(dir: string, run: string): Journal {
    makeDirectory(dir);
    const names = readable(dir, () => [...Deno.readDirSync(dir)].map(({ name }) => name));
    if (!names.includes(JOURNAL)) {
      if (names.length > 0) {
        throw new InputError(
          `--out: ${dir}: expected a new or empty directory, or one of an interrupted run, got ${names.length} other files`,
        );
      }
      const journal = new Journal(dir, run, null);
      journal.#write();
      return journal;
    }
    const path = `${dir}/${JOURNAL}`;
    const note = validate(Note, readJson(path, MAX_JOURNAL_BYTES), path);
    if (note.run !== run) {
      throw new InputError(
        `--out: ${dir}: holds an interrupted run with other settings; remove it, or write elsewhere`,
      );
    }
    for (const name of names.filter(isTemporaryName)) {
      try {
        Deno.removeSync(`${dir}/${name}`);
      } catch (thrown) {
        throw cannotWrite(`${dir}/${name}`, thrown);
      }
    }
    const observed = note.observed && {
      inputs: new Map(Object.entries(note.observed.inputs)),
      kv: note.observed.kv satisfies readonly KvScales[],
      unseenExperts: note.observed.unseenExperts,
    };
    return new Journal(dir, run, observed);
  }

  /** Keeps calibrated scales for a run that goes on. */
  keep(observed: Observed): void {
    this.observed = observed;
    this.#write();
  }

  /** Whether a weight file with just these tensors is there already: it got its name when it was whole. */
  has(name: string, tensors: readonly WrittenTensor[]): boolean {
    let stored;
    try {
      stored = openSafetensors(`${this.dir}/${name}`).tensors;
    } catch (thrown) {
      if (thrown instanceof InputError) return false;
      throw thrown;
    }
    return stored.size === tensors.length && tensors.every(({ name, dtype, shape }) => {
      const found = stored.get(name);
      return found?.dtype === dtype && found.shape.join() === shape.join();
    });
  }

  /** Removes the note: the checkpoint is complete. */
  finish(): void {
    syncDirectory(this.dir);
    Deno.removeSync(`${this.dir}/${JOURNAL}`);
  }

  #write(): void {
    const { run, observed } = this;
    const note: z.infer<typeof Note> = {
      run,
      observed: observed && {
        inputs: Object.fromEntries(observed.inputs),
        kv: observed.kv.map(({ k, v }) => ({ k, v })),
        unseenExperts: observed.unseenExperts,
      },
    };
    writeWhole(`${this.dir}/${JOURNAL}`, `${JSON.stringify(note, null, 1)}\n`);
  }
}

function makeDirectory(path: string): void {
  try {
    Deno.mkdirSync(path, { recursive: true });
  } catch (thrown) {
    if (thrown instanceof Deno.errors.NotCapable) throw thrown;
    throw new InputError(`--out: ${path}: expected a directory that can be written to: ${reason(thrown)}`);
  }
}
