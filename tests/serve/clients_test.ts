/**
 * Clients of others against the command, unchanged; many of ours at once; and its speed. All in `deno task test:soak`.
 * OpenAI's clients and lm-eval are installed by npm and pip.
 */
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { argmax, logProbability } from "../../src/session/likelihood.ts";
import { Tokenizer } from "../../src/text/tokenizer.ts";
import { assert, assertAlmostEquals, assertEquals } from "../assert.ts";
import { inProcess } from "../cli/in_process.ts";
import { mxoss } from "../cli/program.ts";
import { floats, readGolden } from "../golden.ts";
import { nodeWith, pythonOf, pythonWith } from "../installed.ts";
import { inDirectory, run } from "../package/process.ts";
import { openSession } from "../session/open_session.ts";
import { SOAK } from "../soak.ts";
import { measureRates, middleRatio } from "./rate.ts";
import { startServer } from "./server_process.ts";
import { TINY } from "./serving.ts";
import { checkStress, stress, STRESSED } from "./stress.ts";

const PROBLEMS = new URL("../goldens/word-problems.jsonl", import.meta.url).pathname;
const CHOICES = new URL("../goldens/serve/choices.jsonl", import.meta.url).pathname;
const HERE = new URL(".", import.meta.url).pathname;

/** What processes need of the environment. */
function environment(names: readonly string[]): Record<string, string> {
  return Object.fromEntries(names.flatMap((name) => Deno.env.has(name) ? [[name, Deno.env.get(name)!]] : []));
}

const env = environment(["PATH", "HOME", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "npm_config_registry"]);
const node = SOAK ? nodeWith(["openai@7.57.0", "zod@4.6.7"]) : null;
const python = SOAK ? pythonWith(["openai==3.57.0"]) : null;
const lmEval = SOAK ? pythonOf("serve/lm_eval_packages.txt") : null;
const skipped = (there: boolean, reason: string) => !SOAK ? " (skipped without MXOSS_SOAK=1)" : there ? "" : reason;

/** What both of OpenAI's clients get. */
function checkOpenAi(text: string): void {
  const { strict: _, ...got } = JSON.parse(text), { text: whole, answer } = got;
  assertEquals(got, {
    models: ["tiny-gpt-oss"],
    text: whole,
    finish: "length",
    logprobs: 12,
    usage: [11, 12],
    pieces: whole,
    streamed: [11, 12],
    left: 3,
    answer,
    said: answer,
    response: answer,
    refused: [["NotFoundError", 404, "model"], ["BadRequestError", 400, "temperature"]],
  });
  assert(whole.startsWith(" How many apples") && /^#### \d+$/.test(answer), text);
}

Deno.test({
  name: `completions by OpenAI's client for Node.js${skipped(node !== null, " (skipped: no npm)")}`,
  ignore: node === null,
  fn: async () => {
    await using server = await startServer();
    // Node looks for packages beside the file; as a text it is none of Deno's modules.
    Deno.copyFileSync(`${HERE}openai_client.txt`, `${node}/client.mjs`);
    const { code, stdout, stderr } = await run(["node", `${node}/client.mjs`, server.url], { env });
    assertEquals(code, 0, stderr);
    checkOpenAi(stdout);
  },
});

Deno.test({
  name: `completions by OpenAI's client for Python${skipped(python !== null, " (skipped: no python3-venv)")}`,
  ignore: python === null,
  fn: async () => {
    await using server = await startServer();
    const { code, stdout, stderr } = await run([python!, `${HERE}openai_client.py`, server.url], { env });
    assertEquals(code, 0, stderr);
    checkOpenAi(stdout);
    // Of a stream that goes on OpenAI's API says null, as the example in its description; the type is of the end.
    const completions = ["choices.0.finish_reason: None"];
    assertEquals(JSON.parse(stdout).strict, { completions, chat: [], tools: [], responses: [], calls: [], inputs: [] });
  },
});

/** What lm_eval_client.py prints. */
interface LmEval {
  readonly generated: readonly { id: number; text: string; filter: string; extracted: string; correct: number }[];
  readonly scored: readonly { arguments: [string, string][]; responses: [number, boolean][]; correct: number }[];
  readonly chat: readonly string[];
}

Deno.test({
  name: `lm-eval works unchanged, with the answers of mxoss eval and the logits of mxoss logits${
    skipped(lmEval !== null, " (skipped: lm-eval could not be installed)")
  }`,
  ignore: lmEval === null,
  fn: () =>
    inDirectory(async (dir) => {
      await using server = await startServer();
      const words = [lmEval!, `${HERE}lm_eval_client.py`, server.url, PROBLEMS, CHOICES];
      const offline = { HF_HOME: dir, HF_HUB_OFFLINE: "1", HF_DATASETS_OFFLINE: "1" };
      const { code, stdout, stderr } = await run(words, { env: { ...env, ...offline } });
      assertEquals(code, 0, stderr);
      const got: LmEval = JSON.parse(stdout.trim().split("\n").at(-1)!);
      await checkGenerated(got, `${dir}/eval`);
      await checkScored(got, dir);
      assertEquals(got.chat.map((text) => /^#### \d+$/.test(text)), Array(6).fill(true));
    }),
});

/** Word problems: text for text what `mxoss eval` has for the same protocol. */
async function checkGenerated({ generated }: LmEval, out: string): Promise<void> {
  const asked = ["eval", "gsm8k", "--data", PROBLEMS, "--limit", "10", "--prompt", "completion"];
  const { code, stderr } = await mxoss([...asked, "--export", "lm-eval", "--out", out], { writable: out });
  assertEquals(code, 0, stderr);
  const [file] = [...Deno.readDirSync(out)].filter(({ name }) => name.startsWith("samples_"));
  const samples = Deno.readTextFileSync(`${out}/${file!.name}`).trim().split("\n").map((line) => JSON.parse(line));
  const ours = samples.map(({ doc_id: id, resps, filter, filtered_resps, exact_match: correct }) =>
    JSON.stringify({ id, text: resps[0][0], filter, extracted: filtered_resps[0], correct })
  );
  assertEquals(generated.map((sample) => JSON.stringify(sample)).sort(), ours.sort());
  assertEquals(ours.length, 20);
}

/** Continuations: the sums of log probabilities of their tokens by `mxoss logits`; whether they are the likeliest. */
async function checkScored({ scored }: LmEval, dir: string): Promise<void> {
  const tokenizer = await Tokenizer.fromDirectory(TINY);
  let compared = 0;
  for (const { arguments: all, responses } of scored) {
    for (const [i, [context, continuation]] of all.entries()) {
      const ids = tokenizer.encode(context + continuation), from = tokenizer.encode(context).length;
      const out = `${dir}/${compared++}.safetensors`;
      const { code, stderr } = await inProcess(["logits", "--tokens", ids.join(","), "--out", out]);
      assertEquals(code, 0, stderr);
      const tensors = readGolden(`file://${out}`), vocab = tensors.get("logits")!.shape[1]!;
      const rows = floats(tensors, "logits");
      let sum = 0, greedy = true;
      for (let at = from; at < ids.length; at++) {
        const logits = rows.subarray((at - 1) * vocab, at * vocab);
        sum += logProbability(logits, ids[at]!);
        greedy &&= logits[ids[at]!] === Math.max(...logits);
      }
      const [found, likeliest] = responses[i]!;
      assertAlmostEquals(found, sum, 1e-6);
      assertEquals(likeliest, greedy);
    }
  }
  assertEquals(compared, 16);
}

Deno.test({
  name: `the command, on a thread of its own, gives the bits of a session on this one${skipped(true, "")}`,
  ignore: !SOAK,
  fn: async () => {
    await using server = await startServer(["--sequences=16", "--context=256", "--scheme=w_mxfp4_a_mxfp4"]);
    const prompts = Array.from(
      { length: 16 },
      (_, i) => Array.from({ length: 20 + i }, (_, at) => (at * 7 + i) % 1000),
    );
    const ask = async (prompt: readonly number[]) => {
      const body = { prompt, max_tokens: 1, echo: true, logprobs: 0, temperature: 0 };
      const response = await fetch(`${server.url}/v1/completions`, { method: "POST", body: JSON.stringify(body) });
      return (await response.json()).choices[0].logprobs.token_logprobs as (number | null)[];
    };
    const served = await Promise.all(prompts.map(ask));
    const session = await openSession(openCheckpoint(TINY), {
      backend: "emulate",
      dtype: "bf16",
      kvCacheDtype: "auto",
      context: 256,
      scheme: "w_mxfp4_a_mxfp4",
    });
    for (const [i, prompt] of prompts.entries()) {
      const expected: (number | null)[] = [null];
      session.reset(0);
      await session.feed({ slot: 0, tokens: prompt, logits: "all" }, (position, logits) => {
        expected.push(logProbability(logits, prompt[position + 1] ?? argmax(logits)));
      });
      assertEquals(served[i], expected);
    }
    await session.close();
  },
});

Deno.test({
  name: `SIGTERM lets what runs come to its end, and refuses what comes${skipped(true, "")}`,
  ignore: !SOAK,
  fn: async () => {
    await using server = await startServer(["--sequences=2", "--context=2048", "--stop-limit=120"]);
    const ask = (body: object) =>
      fetch(`${server.url}/v1/completions`, { method: "POST", body: JSON.stringify({ prompt: "Ann", ...body }) });
    const running = await ask({ max_tokens: 1500, ignore_eos: true, stream: true });
    const reader = running.body!.pipeThrough(new TextDecoderStream()).getReader();
    let text = (await reader.read()).value!;
    const stopped = server.stop();
    // The long reply takes seconds from then on.
    await server.says(/^stopping: (?:1 request has|\d requests have) 120 s to end/);
    const refused = await ask({ max_tokens: 1 });
    await refused.body!.cancel();
    assertEquals(refused.status, 503);
    for (let read = await reader.read(); !read.done; read = await reader.read()) text += read.value;
    assert(text.endsWith("data: [DONE]\n\n"), text.slice(-200));
    assertEquals(await stopped, 0);
  },
});

Deno.test({
  name: `SIGTERM ends a server whose client sends half a body and nothing more${skipped(true, "")}`,
  ignore: !SOAK,
  fn: async () => {
    await using server = await startServer(["--stop-limit=0"]);
    using client = await Deno.connect({ port: Number(new URL(server.url).port) });
    const head = "POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\n{";
    await client.write(new TextEncoder().encode(head));
    assertEquals((await fetch(`${server.url}/health`)).status, 200);
    // The other half never comes, and is waited for no longer, which would be for a minute.
    assertEquals(await server.stop(), 0);
    assertEquals(server.log().map(({ path, error }) => [path, error]), [
      ["/health", undefined],
      ["/tokenize", "the body ended early: the server is stopping"],
    ]);
  },
});

Deno.test({
  name: `64 clients that leave, dawdle and write nonsense lose nothing${skipped(true, "")}`,
  ignore: !SOAK,
  fn: async () => {
    await using server = await startServer(STRESSED);
    await checkStress(server, await stress(server, 64, 10));
  },
});

/** What 16 clients get of the rate of a batch, and how long the thread that computes had nothing to do: medians. */
async function measured(turns: number): Promise<{ processor: number; idle: number }> {
  const rates = await measureRates(turns, 2), idle = rates.map((rate) => rate.idle).toSorted((a, b) => a - b);
  return { processor: middleRatio(rates, "processor"), idle: idle[turns >> 1]! };
}

Deno.test({
  name: `16 clients get four fifths of what a batch of 16 computes${skipped(true, "")}`,
  ignore: !SOAK,
  fn: async () => {
    // Three turns that others of this machine disturbed say nothing; nine after them do.
    const few = await measured(3),
      { processor, idle } = few.processor >= 0.8 && few.idle < 0.2 ? few : await measured(9);
    assert(processor >= 0.8, `${processor} of the batch's rate by processor time`);
    // By the clock what else the machine does would count as well; that nobody waits for anything else does not.
    assert(idle < 0.2, `the thread that computes had nothing to do in ${idle} of the time`);
  },
});
