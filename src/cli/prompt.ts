/** Where a prompt comes from: an argument, a file, or stdin. */
import { UsageError } from "./spelling.ts";
import { isJsonLines } from "../foreign.ts";
import { unreadable, utf8Text } from "../read.ts";
import { MAX_PROMPT_BYTES } from "../text/prompt_bytes.ts";

/** The three places, as the command line names them. */
export interface PromptOrigin {
  /** `-` means stdin. */
  readonly argument: string | undefined;
  /** What the argument is called in messages. */
  readonly argumentName: string;
  /** From `--prompt-file`; `-` means stdin. */
  readonly file: string | undefined;
}

/**
 * The prompt's text, exactly as it was given.
 *
 * @throws {InputError} if it is given twice, cannot be read, is empty or is not UTF-8.
 */
export async function readPrompt({ argument, argumentName, file }: PromptOrigin): Promise<string> {
  if (argument !== undefined && argument !== "-") {
    if (file !== undefined) {
      throw UsageError.of("contradiction", { option: "prompt-file" }, `without ${argumentName}`, "both");
    }
    return checkedArgument(argument, argumentName);
  }
  if (argument === "-" && file !== undefined) {
    throw UsageError.of("contradiction", { option: "prompt-file" }, `without ${argumentName}`, "both");
  }
  if (file === undefined || file === "-") {
    return notEmpty(utf8Text(await readAll(Deno.stdin.readable, "stdin"), "stdin"), "stdin");
  }
  const name = `--prompt-file: ${file}`;
  if (isJsonLines(file)) throw UsageError.of("wrong_value", { name }, `one prompt as text`, "JSON, an object a line");
  let opened: Deno.FsFile;
  try {
    opened = await Deno.open(file);
  } catch (thrown) {
    throw unreadable(name, thrown);
  }
  return notEmpty(utf8Text(await readAll(opened.readable, name), name), name);
}

/** An argument that is a prompt itself. */
export function checkedArgument(argument: string, name: string): string {
  refuseLong(argument.length, name);
  return notEmpty(argument, name);
}

/** The prompt as a chat message: line breaks at its end, which editors and `echo` add, are not part of the question. */
export function asMessage(prompt: string): string {
  let end = prompt.length;
  while (end > 0 && (prompt[end - 1] === "\n" || prompt[end - 1] === "\r")) end--;
  return prompt.slice(0, end);
}

async function readAll(stream: ReadableStream<Uint8Array>, name: string): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  try {
    for await (const chunk of stream) {
      length += chunk.length;
      refuseLong(length, name);
      chunks.push(chunk);
    }
  } catch (thrown) {
    throw unreadable(name, thrown);
  }
  const whole = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
}

function refuseLong(bytes: number, name: string): void {
  if (bytes > MAX_PROMPT_BYTES) throw UsageError.of("too_large", { name }, `at most ${MAX_PROMPT_BYTES} bytes`, "more");
}

function notEmpty(text: string, name: string): string {
  if (asMessage(text) === "") throw UsageError.of("wrong_value", { name }, "a prompt", "an empty text");
  return text;
}
