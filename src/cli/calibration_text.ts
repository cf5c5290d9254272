/**
 * The tokens that `--calibrate` names: a text, or problems (`.jsonl`), which are made conversations with their answers.
 */
import { createHash } from "node:crypto";
import { UsageError } from "./spelling.ts";
import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import { readDataset, readTextFile } from "../eval/dataset.ts";
import { refuseUnknownIds } from "../eval/perplexity.ts";
import { PROMPT_DATE } from "../eval/prompts.ts";
import { noonOf } from "../text/day.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import { openRenderer, openTokenizer } from "./open_model.ts";
import { option, words } from "../words.ts";

/** Tokens that are computed at most; the largest of so many values moves little when more come. */
export const CALIBRATION_TOKENS = 16_384;
/** Tokens of a sequence at most: fewer where the model has no more positions. */
const SEQUENCE = 1024;

/** Sequences to calibrate on. */
export interface CalibrationText {
  readonly sequences: readonly Int32Array[];
  readonly tokens: number;
  /** What they are, in words: name and hash of the file. */
  readonly from: string;
  /** SHA-256 of the sequences, in hexadecimal: tokenizer and chat template make others of the same file. */
  readonly sha256: string;
}

/**
 * Reads and tokenizes the file.
 *
 * @param mostTokens What is kept at most.
 * @throws {InputError} where it cannot be read, holds nothing, or has tokens that the model lacks.
 */
export async function calibrationText(
  path: string,
  checkpoint: Checkpoint,
  mostTokens = CALIBRATION_TOKENS,
): Promise<CalibrationText> {
  const tokenizer = await openTokenizer(checkpoint), most = Math.min(SEQUENCE, checkpoint.config.maxPositions);
  const { sequences, from } = path.endsWith(".jsonl")
    ? await conversations(path, checkpoint, tokenizer)
    : textSequences(path, tokenizer, most);
  const kept: Int32Array[] = [];
  let tokens = 0;
  for (const sequence of sequences) {
    const part = sequence.slice(0, Math.min(most, mostTokens - tokens));
    if (part.length === 0) break;
    kept.push(part);
    tokens += part.length;
  }
  if (tokens === 0) throw UsageError.of("wrong_value", { option: "calibrate", file: path }, "a text", "an empty file");
  const { vocab } = checkpoint.config;
  for (const part of kept) refuseUnknownIds(part, vocab, words`${option("calibrate")}: ${from}`);
  const sha256 = createHash("sha256").update(JSON.stringify(kept.map((part) => [...part]))).digest("hex");
  return { sequences: kept, tokens, from, sha256 };
}

async function conversations(path: string, checkpoint: Checkpoint, tokenizer: Tokenizer) {
  const chat = await openRenderer(checkpoint, tokenizer);
  const { problems, name, sha256 } = readDataset(path, "--calibrate");
  const sequences = problems.values().map(({ question, answer }) =>
    chat.render({
      messages: [{ role: "user", content: question }, { role: "assistant", content: answer }],
      prompt: false,
      now: noonOf(PROMPT_DATE)!,
    }).ids
  );
  return { sequences, from: `conversations of ${name} (SHA-256 ${sha256})` };
}

function textSequences(path: string, tokenizer: Tokenizer, most: number) {
  const { text, name, sha256 } = readTextFile(path, "--calibrate");
  const ids = tokenizer.encode(text, { allowSpecial: true });
  const sequences: Int32Array[] = [];
  for (let at = 0; at < ids.length; at += most) sequences.push(ids.slice(at, at + most));
  return { sequences, from: `${name} (SHA-256 ${sha256})` };
}
