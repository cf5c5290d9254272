/**
 * One worker thread of the emulate backend: waits at its gate, takes units, waits again. See `control.ts` for the
 * protocol.
 */
import type { Kernel } from "../../wasm.ts";
import {
  asks,
  DRIVER_SLEEPS,
  FAILED,
  FAILURE_BYTE,
  FAILURE_CAPACITY,
  FAILURE_LENGTH,
  joined,
  KERNEL,
  LOADED,
  MEMORY,
  numberedKernels,
  STOP,
  takeUnits,
  type WorkerSetup,
} from "./control.ts";

/**
 * Reads of the gate before a spinning worker goes to sleep: some hundred microseconds, longer than the driver's gap
 * between two operations of a token. A sleeping worker costs nothing.
 */
const SPINS = 4000;

const scope = self as unknown as {
  onmessage: ((event: MessageEvent<WorkerSetup>) => void) | null;
  close(): void;
};

scope.onmessage = async ({ data }) => {
  scope.onmessage = null;
  if (data.reading !== null) {
    // Most models are mapped: their threads start sooner without what reading needs.
    const { readShared } = await import("./reading.ts");
    readShared(data.reading, data.memories);
  }
  serve(data);
  scope.close();
};

function serve({ control: buffer, module, memories, number, gate: word, stackTop, scratch }: WorkerSetup): void {
  const control = new Int32Array(buffer);
  const instances: (Kernel[] | undefined)[] = memories.map(() => undefined);
  const own = joined(number);
  let seen = 0;
  Atomics.add(control, LOADED, 1);
  while (true) {
    const gate = awaitGate(control, word, seen, number);
    if (gate === STOP) return;
    seen = gate;
    Atomics.store(control, own, 1);
    if (Atomics.load(control, word) === gate) {
      try {
        const memory = control[MEMORY]!;
        const kernels = instances[memory] ??= numberedKernels(module, memories[memory]!, stackTop);
        takeUnits(control, kernels[control[KERNEL]!]!, scratch);
      } catch (thrown) {
        reportFailure(control, buffer, thrown);
      }
    }
    Atomics.store(control, own, 0);
    if (Atomics.load(control, DRIVER_SLEEPS) !== 0) Atomics.notify(control, own);
  }
}

/** The next gate value that is open, asks this thread and was not served yet, or STOP. */
function awaitGate(control: Int32Array, word: number, seen: number, number: number): number {
  while (true) {
    let gate = 0;
    for (let spin = 0; spin < SPINS; spin++) {
      gate = Atomics.load(control, word);
      if (gate === STOP || (gate & 1) === 1 && gate !== seen && asks(gate, number)) return gate;
      // Leaves the core to its other thread, where cores have two.
      Atomics.pause();
    }
    Atomics.wait(control, word, gate);
  }
}

function reportFailure(control: Int32Array, buffer: SharedArrayBuffer, thrown: unknown): void {
  if (Atomics.exchange(control, FAILED, 1) !== 0) return;
  // TextEncoder.encodeInto refuses shared memory.
  const text = new TextEncoder().encode(thrown instanceof Error ? thrown.message : String(thrown));
  const kept = text.subarray(0, FAILURE_CAPACITY);
  new Uint8Array(buffer, FAILURE_BYTE, kept.length).set(kept);
  Atomics.store(control, FAILURE_LENGTH, kept.length);
}
