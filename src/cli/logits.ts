/** `mxoss logits`: teacher-forced logits of a sequence, into a safetensors file. */
import { UsageError } from "./spelling.ts";
import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import { refuseChanged } from "../checkpoint/identity.ts";
import { refuseOut } from "./places.ts";
import { SafetensorsWriter } from "../checkpoint/write_safetensors.ts";
import { refuseUnknownIds } from "../eval/perplexity.ts";
import { protocolOf } from "../session/protocol.ts";
import { EXIT_INTERRUPTED, Interrupt, INTERRUPTED } from "./interrupt.ts";
import type { LOGITS } from "./logits_options.ts";
import { openModel, openTokenizer } from "./open_model.ts";
import type { OptionValues, Parsed } from "./options.ts";
import { ProgressBar } from "./progress.ts";
import { readPrompt } from "./prompt.ts";
import { choicesOf, loadSetting, planOnce } from "./settings.ts";
import { note } from "./terminal.ts";
import { VERSION } from "./version.ts";
import { option } from "../words.ts";

type LogitsOptions = OptionValues<typeof LOGITS.options>;

/** Runs the command; gives its exit code. */
export async function logitsCommand({ options }: Parsed<typeof LOGITS.options>): Promise<number> {
  const given = (["tokens", "prompt", "prompt-file"] as const).filter((name) => options[name] !== undefined);
  if (given.length !== 1) {
    const got = given.length === 0 ? "none" : given.map((name) => `--${name}`).join(" and ");
    throw UsageError.of("wrong_value", { name: "mxoss logits" }, "one of --tokens, --prompt and --prompt-file", got);
  }
  const choices = choicesOf(options);
  refuseOut(options.out, options.force);
  const checkpoint = await openModel(options.model);
  const ids = await tokensOf(checkpoint, options);
  const setting = planOnce({ checkpoint, ...choices });
  const session = await loadSetting(setting, { slots: 1, context: ids.length });
  const protocol = JSON.stringify({ mxoss: VERSION, ...await protocolOf(setting) });

  using interrupt = new Interrupt();
  using writer = SafetensorsWriter.create(
    options.out,
    [
      { name: "logits", dtype: "F32", shape: [ids.length, checkpoint.config.vocab] },
      { name: "ids", dtype: "I32", shape: [ids.length] },
    ],
    { force: options.force, metadata: { protocol } },
  );
  writer.append("ids", ids);
  using bar = new ProgressBar("computing");
  const computed = session.feed(
    { slot: 0, tokens: ids, logits: "all" },
    (_position, logits) => writer.append("logits", logits),
    undefined,
    (done) => bar.update(done, ids.length),
  );
  if (await interrupt.race(computed) === INTERRUPTED) {
    bar[Symbol.dispose]();
    note(`interrupted: ${options.out} was not written`);
    return EXIT_INTERRUPTED;
  }
  refuseChanged(checkpoint.identity);
  writer.commit();
  await session.close();
  return 0;
}

/** The sequence, checked against the model before anything is loaded. */
async function tokensOf(checkpoint: Checkpoint, options: LogitsOptions): Promise<Int32Array> {
  const { vocab, maxPositions } = checkpoint.config;
  const ids = options.tokens ?? await encodeText(checkpoint, options);
  refuseUnknownIds(ids, vocab, options.tokens === undefined ? `${checkpoint.files.tokenizer}` : option("tokens"));
  if (ids.length > maxPositions) {
    throw UsageError.of(
      "too_large",
      { name: "mxoss logits" },
      `at most ${maxPositions} tokens, the model's context`,
      ids.length,
    );
  }
  return ids;
}

async function encodeText(checkpoint: Checkpoint, options: LogitsOptions): Promise<Int32Array> {
  const text = await readPrompt({ argument: options.prompt, argumentName: "--prompt", file: options["prompt-file"] });
  return (await openTokenizer(checkpoint)).encode(text, { allowSpecial: true });
}
