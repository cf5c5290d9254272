/** `--calibrate`: input scales for schemes with static FP8 inputs, where the checkpoint brings none. */
import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import { calibrate } from "../eval/calibrate.ts";
import { readDataset, readTextFile } from "../eval/dataset.ts";
import { PROMPT_DATE } from "../eval/prompts.ts";
import { ChatRenderer } from "../text/chat.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import { type CalibratedScales, openSetting, planSetting, type Setting } from "./eval_setting.ts";
import { RateBar } from "./eval_progress.ts";
import { openTokenizer, textDirectory } from "./open_model.ts";

/** Tokens that are computed at most; the largest of so many values moves little when more come. */
const MOST_TOKENS = 16_384;
/** Tokens of a sequence. */
const SEQUENCE = 1024;

/**
 * Measures the scales on a file: a text, or problems (`.jsonl`), which are made conversations with their answers.
 *
 * @param setting How to compute; its own scheme is left aside.
 */
export async function calibratedScales(path: string, setting: Setting): Promise<CalibratedScales> {
  const { checkpoint } = setting;
  const tokenizer = await openTokenizer(checkpoint);
  const { sequences, from } = path.endsWith(".jsonl")
    ? await conversations(path, checkpoint, tokenizer)
    : textSequences(path, tokenizer);
  const kept: Int32Array[] = [];
  let tokens = 0;
  for (const sequence of sequences) {
    const part = sequence.slice(0, Math.min(SEQUENCE, MOST_TOKENS - tokens));
    if (part.length === 0) break;
    kept.push(part);
    tokens += part.length;
  }
  // On one rank and without a scheme: what is looked at are inputs as they are.
  const plain = planSetting({ ...setting, scheme: null, inputScales: null, tp: 1, ep: 1 });
  const room = { slots: 1, context: Math.max(...kept.map((s) => s.length)), chunk: 64 };
  const { session } = await openSetting(plain, room);
  try {
    using bar = new RateBar("calibrating", "tokens");
    const scales = await calibrate(session, kept, (done, total) => bar.update(done, total));
    return { scales, from: `${tokens} tokens of ${from}` };
  } finally {
    await session.close();
  }
}

async function conversations(path: string, checkpoint: Checkpoint, tokenizer: Tokenizer) {
  const chat = await ChatRenderer.fromDirectory(textDirectory(checkpoint), tokenizer);
  const { problems, name, sha256 } = readDataset(path, "--calibrate");
  const sequences = problems.values().map(({ question, answer }) =>
    chat.render({
      messages: [{ role: "user", content: question }, { role: "assistant", content: answer }],
      prompt: false,
      now: new Date(`${PROMPT_DATE}T12:00:00`),
    }).ids
  );
  return { sequences, from: `conversations of ${name} (SHA-256 ${sha256})` };
}

function textSequences(path: string, tokenizer: Tokenizer) {
  const { text, name, sha256 } = readTextFile(path, "--calibrate");
  const ids = tokenizer.encode(text, { allowSpecial: true });
  const sequences: Int32Array[] = [];
  for (let at = 0; at < ids.length; at += SEQUENCE) sequences.push(ids.slice(at, at + SEQUENCE));
  return { sequences, from: `${name} (SHA-256 ${sha256})` };
}
