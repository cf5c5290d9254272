/**
 * A server on a GPU with more sequences than its pages hold: clients at once that stream, leave and give up, whether
 * numbers agree afterwards, and whether a sequence that needs all pages gets them.
 *
 *     deno run -A bench/gpu/pages.ts --model DIR [--backend cuda] [--clients 200] [--requests 1] [--sequences 128]
 *         [--context 8192] [--cache-memory BYTES] [--prompt 1200] [--common 300] [--reply 400]
 *         [--dtype bf16] [--chunk N] [--mxoss "deno run -A main.ts"] [--out FILE.json] [-- MORE OPTIONS]
 *
 * What follows `--` goes to `mxoss serve`. Without `--cache-memory` the pages are those of one sequence of `--context`.
 */
import { parseArgs } from "node:util";
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { fewestPages } from "../../src/model/pages.ts";
import { Costs } from "../../src/model/work.ts";
import { DEFAULTS, planSetting } from "../../src/session/setting.ts";
import { pageLoad } from "../../tests/serve/page_load.ts";
import { startServer } from "../../tests/serve/server_process.ts";
import { choiceOf, countOf, optionsOrEnd } from "../options.ts";

const { flags, more, model, counts, chosen, backend, dtype } = optionsOrEnd(() => {
  const { values: flags, positionals: more } = parseArgs({
    options: {
      model: { type: "string" },
      backend: { type: "string", default: "cuda" },
      clients: { type: "string", default: "200" },
      requests: { type: "string", default: "1" },
      sequences: { type: "string", default: "128" },
      context: { type: "string", default: "8192" },
      "cache-memory": { type: "string" },
      prompt: { type: "string", default: "1200" },
      common: { type: "string", default: "300" },
      reply: { type: "string", default: "400" },
      dtype: { type: "string", default: "bf16" },
      chunk: { type: "string" },
      mxoss: { type: "string" },
      out: { type: "string" },
    },
    allowPositionals: true,
  });
  const { model } = flags;
  if (model === undefined) throw new TypeError("--model: expected a directory");
  const count = (name: "clients" | "requests" | "sequences" | "context" | "prompt" | "reply") =>
    countOf(`--${name}`, flags[name]);
  return {
    ...{ flags, more, model },
    counts: {
      ...{ clients: count("clients"), requests: count("requests"), prompt: count("prompt") },
      ...{ common: countOf("--common", flags.common, 0), reply: count("reply") },
      ...{ sequences: count("sequences"), context: count("context") },
    },
    chosen: flags.chunk === undefined ? null : countOf("--chunk", flags.chunk),
    backend: choiceOf("--backend", flags.backend, ["cuda", "hip"]),
    dtype: choiceOf("--dtype", flags.dtype, ["bf16", "f32"]),
  };
});
const { clients, requests, prompt, common, reply, sequences, context } = counts;
const checkpoint = openCheckpoint(model), { config } = checkpoint;
const { planned: { plan, source }, chunk: usual } = planSetting({ ...DEFAULTS, checkpoint, backend, dtype });
const chunk = chosen ?? usual;
const fewest = new Costs(config, source, plan.kvFormat).pageBytes(fewestPages({ config, context, maxTokens: chunk }));
const memory = flags["cache-memory"] ?? `${fewest}`;
await using server = await startServer(
  [
    ...["--model", model, "--backend", backend, "--sequences", `${sequences}`, "--context", `${context}`],
    ...["--dtype", dtype, "--chunk", `${chunk}`, "--cache-memory", memory],
    ...["--queue", `${2 * clients}`, "--log", "none", ...more],
  ],
  {},
  flags.mxoss?.split(" "),
);
const seen = await pageLoad(server.url, {
  ...{ clients, requests, prompt, common, reply, vocab: config.vocab, whole: context },
});
console.log(server.lines.join("\n"));
console.log(JSON.stringify(seen, null, 1));
if (flags.out !== undefined) Deno.writeTextFileSync(flags.out, JSON.stringify(seen, null, 1));
const code = await server.stop();
if (code !== 0) throw new Error(`exit code ${code}`);
