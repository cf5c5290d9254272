/** The options of `mxoss serve`. */
import { z } from "zod";
import { DATE_OPTION } from "./date_option.ts";
import { COMPUTE_OPTIONS, MODEL_OPTIONS } from "./model_options.ts";
import { choice, type CommandSpec, integer, option, repeated, text } from "./options.ts";
import { schemeNameOr } from "./scheme_name.ts";

/** What `--scheme` calls the checkpoint's own formats. */
export const STORED = "stored";

/** An address to listen on: numbers, as no name is looked up. */
function address() {
  const wanted = "expected an IP address or localhost";
  return z.string().transform((given, context) => {
    const plain = given.replace(/^\[(.*)\]$/, "$1");
    if (plain === "localhost") return "127.0.0.1";
    if (z.union([z.ipv4(), z.ipv6()]).safeParse(plain).success) return plain;
    context.addIssue({ code: "custom", message: wanted });
    return z.NEVER;
  });
}

const { scheme: _scheme, ...COMPUTE } = COMPUTE_OPTIONS;

const OPTIONS = {
  ...MODEL_OPTIONS,
  name: option(
    "NAME",
    text("a name").optional(),
    "what clients call the model (default: its name in the Hugging Face cache, or its directory's)",
  ),
  scheme: repeated(
    "NAME",
    schemeNameOr(STORED),
    `serve the model in this scheme, as MODEL@NAME; ${STORED}: as the checkpoint is, as MODEL (the default)`,
  ),
  host: option(
    "ADDRESS",
    address().default("127.0.0.1"),
    "address to listen on; others than this machine's need a key",
  ),
  port: option("N", integer(0, 65535).default(8080), "port to listen on; 0: any that is free"),
  "api-key": option(
    "KEY",
    text("a key").optional(),
    "let in who brings this key; better by --api-key-file or the variable MXOSS_API_KEY, which other users cannot see",
  ),
  "api-key-file": option("FILE", text("a file").optional(), "let in who brings a key that is a line of this file"),
  date: DATE_OPTION,
  sequences: option("N", integer(1, 1024).default(16), "sequences of each model that are computed at once"),
  context: option(
    "N",
    integer(16).optional(),
    "positions of a sequence, prompt and reply (default: at most 32768, as many as 2 GiB of cache hold; on a GPU, " +
      "where sequences share pages, what one may have of half of the memory that weights leave)",
  ),
  "cache-memory": option(
    "BYTES",
    integer(1).optional(),
    "memory for keys and values of each model, of all its devices together (default: see --context)",
  ),
  queue: option("N", integer(1).default(256), "requests that may wait for a sequence; more are answered by status 429"),
  "max-prompt": option("N", integer(1).optional(), "tokens of a prompt (default: what the context holds)"),
  "max-reply": option("N", integer(1).optional(), "tokens of a reply (default: what the context holds)"),
  "max-body": option("BYTES", integer(1).default(1 << 24), "bytes of a request"),
  "time-limit": option("SECONDS", integer(1, 1_000_000).default(3600), "seconds that a request may take"),
  "stop-limit": option("SECONDS", integer(0, 1_000_000).default(30), "seconds that running requests have at the end"),
  log: option("FORMAT", choice("json", "none").default("json"), "one line of JSON for each request on stderr, or none"),
  ...COMPUTE,
};

/** The command. */
export const SERVE: CommandSpec<typeof OPTIONS> = {
  name: "serve",
  summary: "answer requests over HTTP, as OpenAI's API has them",
  positional: null,
  options: OPTIONS,
  examples: [
    { line: "mxoss serve --model openai/gpt-oss-20b", does: "serves a model at http://127.0.0.1:8080/v1" },
    {
      line: "mxoss serve --scheme stored --scheme w_mxfp4_a_mxfp4 --port 9000",
      does: "serves the embedded model as it is and in a scheme, side by side",
    },
  ],
  notes: [
    "All schemes are loaded at the start, if memory holds them together. Requests share batches; on a " +
    "processor no reply depends on what it shares them with.",
    "Ctrl-C and SIGTERM let running requests end, within --stop-limit, and refuse new ones; a second one ends at once.",
  ],
};
