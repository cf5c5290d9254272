/** A rank for communicator_test.ts: sums as told and reports what it got. */
import { abort, SharedCommunicator } from "../../src/parallel/communicator.ts";

interface Step {
  readonly group: "tensor" | "world";
  readonly round: boolean;
  readonly failing?: number;
  readonly values?: readonly number[];
}

const scope = self as unknown as {
  onmessage: ((event: MessageEvent) => void) | null;
  postMessage(message: unknown): void;
  close(): void;
};

scope.onmessage = ({ data: { shared, rank, steps } }) => {
  const communicator = new SharedCommunicator(shared, rank);
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
