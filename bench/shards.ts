/**
 * What `mxoss report` takes to join many shards, with made-up answers: files, bytes, processor time and memory.
 *
 *     deno run --allow-all bench/shards.ts --shards 1000 --answers 100 --settings 1 --tokens 200
 *
 * `--answers` are those of a shard under each setting, `--tokens` those of a reply.
 */
import { parseArgs } from "@std/cli/parse-args";
import { openCheckpoint } from "../src/checkpoint/checkpoint.ts";
import type { Answer } from "../src/eval/answers.ts";
import { journalHeader } from "../src/eval/cell_run.ts";
import { sealLine } from "../src/eval/journal_lines.ts";
import { costOf } from "../src/eval/cost.ts";
import { shardDirectory } from "../src/eval/shards/attempts.ts";
import { stretchOf } from "../src/eval/shards/division.ts";
import { runsOf, type ShardNote, writeNote } from "../src/eval/shards/note.ts";
import { cellResult, headsOf } from "../src/eval/task.ts";
import { GSM8K } from "../src/eval/tasks/gsm8k.ts";
import { bytesText } from "../src/amounts.ts";
import { fullProtocolOf } from "../src/session/protocol.ts";
import { DEFAULTS, planSetting } from "../src/session/setting.ts";
import { VERSION } from "../src/cli/version.ts";
import { countOf, optionsOrEnd } from "./options.ts";

const ROOT = new URL("../", import.meta.url).pathname;
const given = parseArgs(Deno.args, { string: ["shards", "answers", "settings", "tokens"] });
const [shards, each, settings, tokens] = optionsOrEnd(() =>
  (["shards", "answers", "settings", "tokens"] as const).map((name, i) =>
    countOf(`--${name}`, given[name] ?? `${[1000, 100, 1, 200][i]}`)
  ) as [number, number, number, number]
);
const asked = shards * each;

const checkpoint = openCheckpoint(`${ROOT}models/tiny-gpt-oss`);
const setting = planSetting({ checkpoint, ...DEFAULTS }), protocol = await fullProtocolOf(setting);
// Numbers of ranks tell the settings apart: nothing is computed.
const cells = headsOf(Array.from({ length: settings }, (_, i) => ({
  asked: { model: null, scheme: null, kvCacheDtype: "auto", tp: i + 1, ep: 1 } as const,
  protocol: { ...protocol, tp: i + 1 },
  cost: costOf(setting),
})));
const task = {
  data: { name: "made-up.jsonl", sha256: "0".repeat(64), problems: asked, asked },
  prompt: {
    ...{ format: "completion", template: "none", system: null, reasoning: null, date: "2025-08-05", shots: [] },
    ...{ shots_from: null, seed: 0 },
  },
  decoding: { method: "greedy", max_tokens: 256, stop_ids: [2], stop_texts: [] },
  scoring: "made up",
} as Parameters<typeof GSM8K.header>[0];

const text = "and so there are 12 of ".repeat(Math.ceil(tokens / 6)).slice(0, 4 * tokens);
const ids = Array.from({ length: tokens }, (_, i) => (i * 7919) % 200_000);
function answer(index: number): Answer {
  const correct = index % 3 !== 0, judged = { extracted: "12", correct };
  return {
    ...{ index, end: "stop", promptTokens: 150, generatedTokens: tokens + 1, logProbability: -(index % 97) / 10 },
    ...{ origin: "whole", text, scored: text, "strict-match": judged, "flexible-extract": judged, ids },
  };
}

const out = Deno.makeTempDirSync({ prefix: "mxoss-shards-" });
try {
  let bytes = 0, files = 0;
  for (let number = 1; number <= shards; number++) {
    const shard = { number, of: shards }, dir = shardDirectory(out, shard), [from, to] = stretchOf(shard, asked);
    const indices = Array.from({ length: to - from }, (_, i) => from + i);
    Deno.mkdirSync(dir, { recursive: true });
    writeNote(dir, {
      ...{ schema: "mxoss.shard", version: 1, mxoss: VERSION, task: GSM8K.schema, protocol: task, bandwidth: null },
      ...{ divergence: 0, alarm: 0.01, cells: cells.map((cell) => cellResult(cell)) as ShardNote["cells"], shard },
      ...{ places: { from, to }, indices: runsOf(indices), command: [] },
    });
    for (const { key, protocol } of cells) {
      const lines = [journalHeader("answers", GSM8K.header(task), protocol), ...indices.map(answer)];
      let content = "", before = 0;
      for (const line of lines) {
        const { text, crc } = sealLine(JSON.stringify(line), before);
        content += text;
        before = crc;
      }
      Deno.writeTextFileSync(`${dir}/answers.${key}.${"0".repeat(16)}.jsonl`, content);
      bytes += content.length, files++;
    }
    files++;
  }
  const args = ["run", "--no-check", "--allow-all", `${ROOT}main.ts`, "report", out, "--json"];
  const child = new Deno.Command(Deno.execPath(), { args, stdout: "null", stderr: "inherit" }).spawn();
  let peak = 0, ticks = 0, ended = false;
  const status = child.status.finally(() => ended = true);
  while (!ended) {
    try {
      const [, high] = /VmHWM:\s+(\d+) kB/.exec(Deno.readTextFileSync(`/proc/${child.pid}/status`)) ?? [];
      peak = Math.max(peak, 1024 * Number(high ?? 0));
      const fields = Deno.readTextFileSync(`/proc/${child.pid}/stat`).split(" ");
      ticks = Number(fields[13]) + Number(fields[14]);
    } catch {
      // It has ended.
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const { code } = await status, answers = asked * settings;
  console.log(
    `${shards} shards, ${answers} answers of ${tokens} tokens: ${files} files, ${
      bytesText(bytes)
    }; report ended with ` +
      `${code} after ${ticks / 100} s of processor time (${
        (1e4 * ticks / answers).toFixed(0)
      } us an answer), at most ` +
      `${bytesText(peak)} of memory (${Math.round(peak / answers)} bytes an answer)`,
  );
} finally {
  Deno.removeSync(out, { recursive: true });
}
