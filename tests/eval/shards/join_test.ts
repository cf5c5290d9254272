/** Attempts at the answers of a run that is joined. */
import { z } from "zod";
import { InputError } from "../../../src/errors.ts";
import { cellKey } from "../../../src/eval/matrix.ts";
import { journalHeader } from "../../../src/eval/cell_run.ts";
import { SequenceNll } from "../../../src/eval/perplexity.ts";
import { joinShards, type NotedShard } from "../../../src/eval/shards/join.ts";
import { PERPLEXITY } from "../../../src/eval/tasks/perplexity.ts";
import { assert, assertEquals, assertThrows } from "../../assert.ts";
import { TemporaryDirectory } from "../../checkpoint/container.ts";
import { COST, SETTING } from "../results.ts";

type Reply = SequenceNll & { readonly ids: readonly number[] };

/** A task that keeps tokens of replies, of which results need none. */
const TASK = {
  ...PERPLEXITY,
  journal: {
    name: "answers",
    entry: z.strictObject({ ...SequenceNll.shape, ids: z.array(z.int()).readonly() }),
    lean: (reply: Reply) => ({ ...reply, ids: [] }),
  },
};

const PROTOCOL = {
  text: { name: "text", sha256: "d".repeat(64), bytes: 40, tokens: 6, sequence_length: 3, repeated: 0 },
};
const ASKED = { model: null, scheme: SETTING.scheme, kv_cache_dtype: "auto" as const, tp: 1, ep: 1 };
const KEY = cellKey({ model: null, scheme: SETTING.scheme, kvCacheDtype: "auto", tp: 1, ep: 1 });

/** The only shard of a run of two sequences. */
const shard = (dir: string): NotedShard => ({
  dir,
  note: {
    ...{ schema: "mxoss.shard", version: 1, mxoss: "1", task: TASK.schema, protocol: PROTOCOL, bandwidth: null },
    ...{ divergence: 0, alarm: 0.01, cells: [{ key: KEY, label: "one", asked: ASKED, protocol: SETTING, cost: COST }] },
    ...{ shard: { number: 1, of: 1 }, places: { from: 0, to: 2 }, indices: [[0, 1]], command: [] },
  },
});

function attempt(dir: string, name: string, replies: readonly Reply[]): string {
  const path = `${dir}/answers.${KEY}.${name.repeat(16)}.jsonl`;
  const lines = [journalHeader("answers", TASK.header(PROTOCOL), SETTING), ...replies];
  Deno.writeTextFileSync(path, lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
  return path;
}

Deno.test("attempts with replies of other tokens are not joined, though length and score are the same", () => {
  using temporary = new TemporaryDirectory();
  const dir = temporary.path, joined = () => joinShards(TASK, [shard(dir)], undefined);
  const [one, two] = [[1, 2], [3, 4]].map((ids, index): Reply => ({ index, nll: [1, 2], ids })) as [Reply, Reply];
  attempt(dir, "a", [one, two]);
  attempt(dir, "b", [two]);
  const whole = joined();
  assert(whole.kind === "done" && whole.run.results.cells[0]!.nll === 1.5);
  const path = attempt(dir, "c", [{ ...two, ids: [3, 5] }]);
  assertEquals(
    assertThrows(joined, InputError).message,
    `${path}: has another result 1 than an attempt before; remove that of the machine that is wrong`,
  );
});
