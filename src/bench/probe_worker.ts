/** A thread that runs one of {@linkcode PROBES}, beginning at the same time as all others. */
import { instantiate } from "../wasm.ts";
import { type ProbeRun, type ProbeSetup, type ProbeTimes, UNIT_BYTES, UNIT_ROUNDS } from "./probe_messages.ts";

const scope = self as unknown as {
  onmessage: ((event: MessageEvent) => void) | null;
  postMessage(times: ProbeTimes): void;
};

const ARRIVED = 0;
/** Milliseconds of one clock for all threads. */
const now = () => performance.timeOrigin + performance.now();

scope.onmessage = ({ data }: MessageEvent<ProbeSetup>) => {
  const { module, memory, stackTop, descriptor, scratch, address, units, threads } = data;
  const kernel = instantiate(module, memory, stackTop), gate = new Int32Array(data.gate);
  const words = new Uint32Array(memory.buffer, descriptor, 3);
  // Memory that nobody wrote is one page of zeros, which a core's cache holds.
  new Uint8Array(memory.buffer, address, units * UNIT_BYTES).fill(1);
  let runs = 0;
  scope.onmessage = ({ data: { probe, units: wanted, streams } }: MessageEvent<ProbeRun>) => {
    const loop = kernel(probe), reads = probe === "probe_read";
    words.set(reads ? [address, UNIT_BYTES, streams] : [UNIT_ROUNDS, 0, 0]);
    // All threads are awake before the first begins: starting one must not fall into the time of another.
    runs++;
    Atomics.add(gate, ARRIVED, 1);
    Atomics.notify(gate, ARRIVED);
    for (let here = 0; (here = Atomics.load(gate, ARRIVED)) < runs * threads;) Atomics.wait(gate, ARRIVED, here);
    const began = now();
    if (reads) {
      for (let at = 0; at < wanted; at += units) loop(descriptor, 0, Math.min(units, wanted - at), scratch);
    } else {
      loop(descriptor, 0, wanted, scratch);
    }
    scope.postMessage({ began, ended: now() });
  };
  scope.postMessage({ began: 0, ended: 0 });
};
