/**
 * Tokens per second that clients of a server on a GPU get, beside the batches of `mxoss bench`; whether a reply alone
 * is the one among others; how long `/health` waits meanwhile.
 *
 *     deno run -A bench/gpu/server.ts --model DIR [--backend cuda] [--clients 1,16,64] [--tokens 256] [--times 3]
 *         [--replies 1] [--mixed] [--spoil TOKEN] [--mxoss "deno run -A main.ts"] [--only bench|serve]
 *         [--out FILE.json] [-- MORE OPTIONS]
 *
 * What follows `--` goes to both commands. Prompts are one token and replies 256, so that a sequence has 128 positions
 * in the middle, as those of `mxoss bench` have; with `--mixed` they are half to one and a half times as long, and each
 * client asks for `--replies` of them, one after another: some end and others begin all the time. With `--spoil` a
 * request has a token more, whose embedding the model's files hold as NaN: its failure is to be nobody else's.
 */
import { parseArgs } from "node:util";
import { spreadOf, spreadText } from "../../src/bench/spread.ts";
import { median } from "../../src/median.ts";
import { choiceOf, countOf, countsOf, optionsOrEnd } from "../options.ts";

const { flags, more, model, counts, TOKENS, TIMES, REPLIES, spoilt } = optionsOrEnd(() => {
  const { values: flags, positionals: more } = parseArgs({
    options: {
      model: { type: "string" },
      backend: { type: "string", default: "cuda" },
      clients: { type: "string", default: "1,16,64" },
      tokens: { type: "string", default: "256" },
      times: { type: "string", default: "3" },
      replies: { type: "string", default: "1" },
      mixed: { type: "boolean", default: false },
      spoil: { type: "string" },
      mxoss: { type: "string", default: `${Deno.execPath()} run -A main.ts` },
      only: { type: "string" },
      out: { type: "string" },
    },
    allowPositionals: true,
  });
  const { model, spoil } = flags, counts = countsOf("--clients", flags.clients);
  if (model === undefined) throw new TypeError("--model: expected a directory");
  choiceOf("--backend", flags.backend, ["cuda", "hip", "emulate"]);
  if (flags.only !== undefined) choiceOf("--only", flags.only, ["bench", "serve"]);
  if (spoil !== undefined && counts.length < 2) {
    throw new TypeError(`--spoil: expected two numbers of --clients, got "${flags.clients}"`);
  }
  return {
    ...{ flags, more, model, counts },
    TOKENS: countOf("--tokens", flags.tokens),
    TIMES: countOf("--times", flags.times),
    REPLIES: countOf("--replies", flags.replies),
    spoilt: spoil === undefined ? null : countOf("--spoil", spoil, 0),
  };
});
const [program, ...before] = flags.mxoss.split(" ");
const common = ["--model", model, "--backend", flags.backend, ...more];
const results: { model: string; tokens: number; bench?: unknown; serve?: unknown; failed?: unknown } = {
  model,
  tokens: TOKENS,
};

/** Tokens per second of `mxoss bench`, by sequences. */
async function bench(): Promise<Record<number, number>> {
  const lists = ["--prefill", "none", "--contexts", "none", "--batches", counts.join(",")];
  const args = [...before, "bench", ...common, ...lists, "--seconds", "20", "--json"];
  const { code, stdout, stderr } = await new Deno.Command(program!, { args }).output();
  const text = new TextDecoder().decode(stdout);
  if (code !== 0) throw new Error(`${text}${new TextDecoder().decode(stderr)}`);
  const { figures } = JSON.parse(text) as {
    figures: { subject: { sequences: number }; tokens_per_second: { median: number } }[];
  };
  return Object.fromEntries(figures.map((one) => [one.subject.sequences, one.tokens_per_second.median]));
}

/** Tokens of a client's reply. */
const lengthOf = (client: number, turn: number) =>
  flags.mixed ? TOKENS / 2 + (7 * client + 5 * turn) % 16 * (TOKENS >> 4) : TOKENS;

/** Replies of a client, one after another, as one. */
async function askAll(url: string, client: number): Promise<Reply> {
  const all: Reply[] = [];
  for (let turn = 0; turn < REPLIES; turn++) {
    all.push(await ask(url, [client + 1 + 100 * turn], lengthOf(client, turn)));
  }
  const error = all.find((reply) => reply.error !== undefined)?.error;
  const tokens = all.reduce((sum, reply) => sum + reply.tokens, 0);
  return { text: all.map(({ text }) => text).join("\n"), tokens, ...(error === undefined ? {} : { error }) };
}

/** What came of a request. */
interface Reply {
  readonly text: string;
  readonly tokens: number;
  readonly error?: string;
}

/** A completion that streams; gives its text, or the error. */
async function ask(url: string, prompt: readonly number[], max_tokens = TOKENS): Promise<Reply> {
  const body = { prompt, max_tokens, temperature: 0, ignore_eos: true, stream: true };
  const options = { stream_options: { include_usage: true } };
  const response = await fetch(`${url}/v1/completions`, {
    method: "POST",
    body: JSON.stringify({ ...body, ...options }),
  });
  const pieces = (await response.text()).split("\n\n").filter((line) => line.startsWith("data: {"));
  let text = "", tokens = 0, error: string | undefined;
  for (const piece of pieces) {
    const data = JSON.parse(piece.slice(6));
    text += data.choices?.[0]?.text ?? "";
    tokens = data.usage?.completion_tokens ?? tokens;
    error ??= data.error?.message;
  }
  return { text, tokens, ...(error === undefined ? {} : { error }) };
}

/** Processor time of a process in seconds. */
function processorSeconds(pid: number): number {
  const fields = Deno.readTextFileSync(`/proc/${pid}/stat`).split(") ")[1]!.split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

/** A server that runs, and where it listens. */
async function started(): Promise<{ child: Deno.ChildProcess; url: string }> {
  const sizes = ["--sequences", `${Math.max(...counts)}`, "--context", "512", "--port", "0", "--log", "none"];
  const child = new Deno.Command(program!, {
    args: [...before, "serve", ...common, ...sizes],
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const listening = Promise.withResolvers<string>();
  void (async () => {
    let said = "";
    for await (const piece of child.stderr.pipeThrough(new TextDecoderStream())) {
      said += piece;
      const [, url] = /listening on (http:\S+)\n/.exec(said) ?? [];
      if (url !== undefined) listening.resolve(url);
    }
    listening.reject(new Error(said));
  })();
  return { child, url: await listening.promise };
}

/** Replies of so many clients that ask at once. */
async function together(url: string, clients: number): Promise<Reply[]> {
  const replies = await Promise.all(Array.from({ length: clients }, (_, client) => askAll(url, client)));
  const error = replies.find((reply) => reply.error !== undefined)?.error;
  if (error !== undefined) throw new Error(error);
  return replies;
}

/** What clients got in one turn. */
interface Turn {
  readonly rate: number;
  /** Milliseconds of the server's processor a token. */
  readonly processor: number;
  readonly texts: readonly string[];
  /** Milliseconds that each `/health` took. */
  readonly waits: readonly number[];
}

/** All clients ask at once, and `/health` is asked meanwhile. */
async function turn(url: string, pid: number, clients: number): Promise<Turn> {
  const asking = together(url, clients);
  const began = performance.now(), processor = processorSeconds(pid), waits: number[] = [];
  let asks = true;
  const health = (async () => {
    while (asks) {
      const asked = performance.now();
      await (await fetch(`${url}/health`)).text();
      waits.push(performance.now() - asked);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  })();
  const replies = await asking.finally(() => asks = false), seconds = (performance.now() - began) / 1000;
  await health;
  const tokens = replies.reduce((sum, reply) => sum + reply.tokens, 0);
  const spent = processorSeconds(pid) - processor;
  return { rate: tokens / seconds, processor: 1000 * spent / tokens, texts: replies.map(({ text }) => text), waits };
}

/** Figures of turns with so many clients. */
function figuresOf(turns: readonly Turn[], alone: string) {
  const waits = turns.flatMap((turn) => turn.waits), sorted = waits.toSorted((a, b) => a - b);
  return {
    tokensPerSecond: turns.map(({ rate }) => Math.round(rate)),
    middle: spreadOf(turns.map(({ rate }) => rate)),
    processorMillisecondsPerToken: spreadOf(turns.map(({ processor }) => processor)),
    health: { median: median(waits), p99: sorted[Math.floor(0.99 * sorted.length)], longest: sorted.at(-1) },
    repeatedTheSame: turns.every(({ texts }) => texts.every((text, i) => text === turns[0]!.texts[i])),
    firstAsAlone: turns.map(({ texts }) => common16(texts[0]!, alone)),
  };
}

/** Whether one request that fails spoils those beside it. */
async function spoil(url: string, token: number): Promise<void> {
  const prompts = Array.from({ length: 2 * counts[1]! }, (_, i) => i === 5 ? [1, token, 2] : [i + 1]);
  const replies = await Promise.all(prompts.map((prompt) => ask(url, prompt)));
  const failed = replies.flatMap(({ error }, i) => error === undefined ? [] : [[i, error]]);
  console.log(`spoilt: ${JSON.stringify(results.failed = failed)}`);
  const whole = replies.filter(({ tokens }) => tokens === TOKENS).length;
  console.log(`others: ${whole} of ${replies.length - 1} whole, health ${(await fetch(`${url}/health`)).status}`);
}

async function serve(): Promise<void> {
  const { child, url } = await started();
  try {
    const rates: Record<number, unknown> = {};
    let alone = "";
    for (const clients of counts) {
      // The first turn records what later ones replay.
      await together(url, clients);
      const turns: Turn[] = [];
      for (let i = 0; i < TIMES; i++) turns.push(await turn(url, child.pid, clients));
      if (clients === 1) alone = turns[0]!.texts[0]!;
      const figures = rates[clients] = figuresOf(turns, alone);
      const { middle, processorMillisecondsPerToken } = figures;
      const texts = {
        middle: spreadText(middle),
        processorMillisecondsPerToken: spreadText(processorMillisecondsPerToken),
      };
      console.log(`serve ${clients}: ${JSON.stringify({ ...figures, ...texts })}`);
    }
    results.serve = rates;
    if (spoilt !== null) await spoil(url, spoilt);
  } finally {
    child.kill("SIGTERM");
    console.log(`exit code ${(await child.status).code}`);
  }
}

/** UTF-16 units that two texts have in common, and all of the longer one. */
function common16(a: string, b: string): string {
  let at = 0;
  while (at < a.length && a[at] === b[at]) at++;
  return `${at} of ${Math.max(a.length, b.length)}`;
}

if (flags.only !== "serve") console.log(`bench: ${JSON.stringify(results.bench = await bench())}`);
if (flags.only !== "bench") await serve();
if (flags.out !== undefined) Deno.writeTextFileSync(flags.out, JSON.stringify(results, null, 1));
