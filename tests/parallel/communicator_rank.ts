/** A rank for communicator_test.ts: sums as told and reports what it got. */
import {
  abort,
  type GatherValues,
  type SharedCommunication,
  SharedCommunicator,
} from "../../src/parallel/communicator.ts";

interface Step {
  readonly group: "tensor" | "world";
  readonly round: boolean;
  readonly failing?: number;
  readonly values?: readonly number[];
}

/** What stands for MPI between processes that are threads of the test. */
export interface Exchange {
  /** Its sums are where processes wait for one another. */
  readonly shared: SharedCommunication;
  readonly process: number;
  readonly processes: number;
  readonly values: SharedArrayBuffer;
}

const scope = self as unknown as {
  onmessage: ((event: MessageEvent) => void) | null;
  postMessage(message: unknown): void;
  close(): void;
};

function gatherBy({ shared, process, processes, values }: Exchange): GatherValues {
  const others = new SharedCommunicator(shared, process), all = new Float32Array(values);
  const meet = () => others.allReduce(new Float32Array(1), "world", false);
  return (own, each) => {
    all.set(own.subarray(process * each, (process + 1) * each), process * each);
    meet();
    own.set(all.subarray(0, processes * each));
    meet();
  };
}

scope.onmessage = ({ data: { shared, rank, steps, exchange } }) => {
  const communicator = new SharedCommunicator(shared, rank, exchange && gatherBy(exchange));
  try {
    const got = steps.map((step: Step, i: number) => {
      if (step.failing === rank) throw new Error("told to fail");
      const values = new Float32Array(5).fill(step.values?.[rank] ?? rank + 1 + i + (step.round ? 1 / 256 : 0));
      communicator.allReduce(values, step.group, step.round);
      return [...values];
    });
    scope.postMessage(got);
  } catch (thrown) {
    abort(shared);
    scope.postMessage({ failed: (thrown as Error).message });
  }
  scope.close();
};
