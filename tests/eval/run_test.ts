/** The runner with a task whose answers cost nothing. */
import { inDirectory } from "../../src/eval/stores.ts";
import { costOf } from "../../src/eval/cost.ts";
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import type { SequenceNll } from "../../src/eval/perplexity.ts";
import { type HashedCells, type RunOptions, runTask } from "../../src/eval/run.ts";
import type { RunCell, Store } from "../../src/eval/task.ts";
import { PERPLEXITY } from "../../src/eval/tasks/perplexity.ts";
import { fullProtocolOf } from "../../src/session/protocol.ts";
import type { Session } from "../../src/session/session.ts";
import { DEFAULTS, planSetting } from "../../src/session/setting.ts";
import { Tokenizer } from "../../src/text/tokenizer.ts";
import { pause } from "../../src/breath.ts";
import { InputError } from "../../src/errors.ts";
import { assertEquals, assertRejects } from "../assert.ts";
import { TINY } from "./sides.ts";

const checkpoint = openCheckpoint(TINY);
const work = PERPLEXITY.prepare({
  path: "text.txt",
  file: { name: "text.txt", sha256: "0".repeat(64), text: "one two three four five six seven eight nine ten" },
  tokenizer: await Tokenizer.fromDirectory(TINY),
  limit: undefined,
  sequenceLength: 4,
}, checkpoint.config);
const setting = planSetting({ checkpoint, ...DEFAULTS });
const name = { scheme: "w_mxfp4", kvCacheDtype: null, tp: null, ep: null, model: null };
const protocol = await fullProtocolOf(setting);
const asked = { model: null, scheme: null, kvCacheDtype: "auto", tp: 1, ep: 1 } as const;
const cell: RunCell = { key: "cell", asked, name, label: "w_mxfp4", protocol, cost: costOf(setting), setting };
const session = { close: () => Promise.resolve() } as unknown as Session;

const done = Promise.resolve([cell]), hashed: HashedCells = { planned: [cell], known: [cell], done, wait: () => done };

/** Runs; `answer` is asked for what the store lacks. */
async function run(
  out: string,
  answer: (store: Store<SequenceNll>) => Promise<void>,
  signal?: AbortSignal,
  cells: HashedCells = hashed,
) {
  const said: string[] = [];
  const options: RunOptions = {
    bandwidth: null,
    mxoss: "1.2.3",
    out,
    open: inDirectory(out),
    divergence: 0,
    alarm: 1,
    load: () => Promise.resolve(session),
    watcher: {
      resumed: (label, done, total) => said.push(`${label}: ${done} of ${total}`),
      progress: () => ({ update: () => {}, [Symbol.dispose]: () => {} }),
    },
    signal: signal ?? new AbortController().signal,
  };
  const task = {
    ...PERPLEXITY,
    answer: (_work: unknown, _session: Session, store: Store<SequenceNll>) => answer(store),
  };
  return { outcome: await runTask(task, work, cells, options), said };
}

function entry(index: number): SequenceNll {
  return { index, nll: Array<number>(work.sequences[index]!.length - 1).fill(1) };
}

Deno.test("runTask() interrupted keeps its answers, and the next run computes the rest of the files", async () => {
  const out = await Deno.makeTempDir();
  try {
    const interrupt = new AbortController();
    const first = await run(out, (store) => {
      store.append(entry(0));
      interrupt.abort();
      return new Promise(() => {});
    }, interrupt.signal);
    assertEquals(first.outcome, { kind: "interrupted", answered: 1, asked: work.indices.length });
    assertEquals([...Deno.readDirSync(out)].map((file) => file.name), ["nll.cell.jsonl"]);

    const asked: number[] = [];
    const second = await run(out, (store) => {
      for (const index of work.indices.filter((i) => !store.entries.has(i))) {
        asked.push(index);
        store.append(entry(index));
      }
      return Promise.resolve();
    });
    assertEquals(asked, work.indices.slice(1));
    assertEquals(second.said, [`w_mxfp4: 1 of ${work.indices.length}`]);
    assertEquals(second.outcome.kind === "done" && second.outcome.results.cells[0]!.nll, 1);
    const text = Deno.readTextFileSync(`${out}/results.json`);
    assertEquals(second.outcome.kind === "done" && second.outcome.text, text);

    // A third run has nothing to ask.
    const third = await run(out, () => Promise.reject(new Error("asked again")));
    assertEquals([third.outcome.kind, Deno.readTextFileSync(`${out}/results.json`)], ["done", text]);
  } finally {
    await Deno.remove(out, { recursive: true });
  }
});

/** Cells whose weights are hashed when `hash` is called. */
function unhashed() {
  const { promise: done, resolve, reject } = Promise.withResolvers<readonly RunCell[]>();
  const cells: HashedCells = { planned: [cell], known: null, done, wait: () => done };
  return { cells, hash: () => resolve([cell]), fail: reject };
}

Deno.test("runTask() answers while weights are hashed, and keeps the same bytes from then on", async () => {
  const [out, plain] = [await Deno.makeTempDir(), await Deno.makeTempDir()];
  try {
    const { cells, hash } = unhashed(),
      files = (dir: string) => Array.from(Deno.readDirSync(dir), ({ name }) => name).sort();
    const seen: (readonly string[])[] = [];
    const late = await run(
      out,
      async (store) => {
        store.append(entry(0));
        seen.push(files(out));
        hash();
        await pause();
        seen.push(files(out));
        work.indices.slice(1).forEach((index) => store.append(entry(index)));
      },
      undefined,
      cells,
    );
    assertEquals(seen, [[], ["nll.cell.jsonl"]]);
    const early = await run(plain, (store) => {
      work.indices.forEach((index) => store.append(entry(index)));
      return Promise.resolve();
    });
    assertEquals(late, early);
    for (const name of files(plain)) {
      assertEquals(Deno.readTextFileSync(`${out}/${name}`), Deno.readTextFileSync(`${plain}/${name}`), name);
    }
    // Nothing is answered for long of weights that cannot be read.
    const broken = unhashed();
    await assertRejects(
      () => run(plain, () => new Promise(() => broken.fail(new InputError("no weights"))), undefined, broken.cells),
      InputError,
      "no weights",
    );
  } finally {
    for (const dir of [out, plain]) await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("runTask() interrupted before weights are hashed keeps nothing, and says so", async () => {
  const out = await Deno.makeTempDir();
  try {
    const interrupt = new AbortController(), { cells, hash } = unhashed();
    const { outcome } = await run(
      out,
      (store) => {
        store.append(entry(0));
        interrupt.abort();
        return new Promise(() => {});
      },
      interrupt.signal,
      cells,
    );
    hash();
    await pause();
    assertEquals(outcome, { kind: "interrupted", answered: 0, asked: work.indices.length });
    assertEquals([...Deno.readDirSync(out)], []);
  } finally {
    await Deno.remove(out, { recursive: true });
  }
});
