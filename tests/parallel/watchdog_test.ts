/** Ranks that come no further are given up, and only those. */
import { FailureError } from "../../src/errors.ts";
import type { OpenRequest } from "../../src/model/backend.ts";
import type { TensorName } from "../../src/model/gpt_oss.ts";
import { RunControl } from "../../src/parallel/control.ts";
import { DeviceEngine } from "../../src/parallel/device_engine.ts";
import type { RankListener } from "../../src/parallel/rank_ports.ts";
import { Ranks } from "../../src/parallel/ranks.ts";
import { Watchdog } from "../../src/parallel/watchdog.ts";
import { assertEquals, assertRejects } from "../assert.ts";
import { HeldTimers } from "../timers.ts";

const PATIENCE = 80_008, LOOK = PATIENCE / 8;

/** Two ranks that generate as far as they are permitted, and what looks at them; the second can be made to hang. */
function generating() {
  const control = RunControl.create(2), listeners: RankListener[] = [], done = [0, 0];
  const state = { hangs: false }, working = new Set<number>();
  const turn = () => {
    for (const [rank, listener] of listeners.entries()) {
      if (!working.has(rank)) continue;
      for (; done[rank]! < control.permitted() && !(state.hangs && rank === 1); done[rank]!++) {
        control.progress(rank);
        if (rank === 0) listener.reply({ kind: "tokens", ids: Int32Array.of(done[0]!), step: done[0]! });
      }
      if (control.closed() && done[rank] === control.permitted()) {
        working.delete(rank);
        listener.reply({ kind: "decoded", hostMilliseconds: 0 });
      }
    }
  };
  const ranks = new Ranks(2, {
    start: (rank, listener) => {
      listeners[rank] = listener;
      return { postMessage: () => working.add(rank) };
    },
    abort: () => {},
  });
  const pace = (until: number, closed: boolean) => {
    control.pace(until, closed);
    queueMicrotask(turn);
  };
  const hosted = {
    ranks,
    control,
    perProcess: 1,
    ranges: [],
    logits: new Float32Array(0),
    load: () => Promise.resolve([]),
    pace,
  };
  const request = { maxTokens: 4 } as unknown as OpenRequest<TensorName>,
    watchdog = new Watchdog(ranks, control, PATIENCE);
  return { state, engine: new DeviceEngine(hosted, request, watchdog, null as never) };
}

const BATCH = { ids: Int32Array.of(1), slots: Int32Array.of(0), positions: Int32Array.of(0) };

Deno.test("ranks are not given up while tokens are looked at, and are when they hang after that", async () => {
  using looks = new HeldTimers("interval", LOOK);
  const { engine } = generating(), seen: number[] = [];
  const decode = (steps: number, onTokens: (step: number) => void) =>
    engine.decode({
      ...{ batch: BATCH, steps, sampling: [] },
      onTokens: async (ids, step) => {
        seen.push(ids[0]!);
        // The event loop turns while a pipe takes no more.
        await new Promise((resolve) => setTimeout(resolve));
        onTokens(step);
        return true;
      },
    });
  const { steps } = await decode(6, (step) => {
    for (let i = 0; step === 2 && i < 20; i++) looks.goOff();
  });
  assertEquals([steps, seen], [6, [0, 1, 2, 3, 4, 5]]);
  const hanging = generating();
  hanging.state.hangs = true;
  const hung = hanging.engine.decode({
    ...{ batch: BATCH, steps: 2, sampling: [] },
    onTokens: (_ids, step) => {
      if (step === 1) { for (let i = 0; i < 4; i++) looks.goOff(); }
      return true;
    },
  });
  await new Promise((resolve) => setTimeout(resolve));
  for (let i = 0; i < 8; i++) looks.goOff();
  const { message } = await assertRejects(() => hung, FailureError);
  assertEquals(message, "rank 1 of 2: came no further in 80.008 s, while the others wait");
});

Deno.test("ranks that load nothing more are given up and named, however far each of them had come", async () => {
  using looks = new HeldTimers("interval", LOOK);
  const control = RunControl.create(3), listeners: RankListener[] = [];
  const start = (rank: number, listener: RankListener) => {
    listeners[rank] = listener;
    return { postMessage: () => {} };
  };
  const ranks = new Ranks(3, { start, abort: () => {} }), watchdog = new Watchdog(ranks, control, 1);
  const loading = watchdog.loading(() => ranks.all(() => ({ kind: "prepare" })), PATIENCE);
  const wait = (times: number) => {
    for (let i = 0; i < times; i++) looks.goOff();
  };
  control.loaded(2, 1, true);
  listeners[2]!.reply({ kind: "done" });
  // One that has all weights still has to make ready.
  for (const share of [0.3, 0.31, 0.9, 1]) {
    wait(7);
    control.loaded(1, share);
  }
  control.loaded(0, 0.2);
  wait(8);
  assertEquals(ranks.failure, undefined);
  wait(1);
  const { message } = await assertRejects(() => loading, FailureError);
  assertEquals(message, "ranks 0, 1 of 3: loaded nothing more in 80.008 s");
});
