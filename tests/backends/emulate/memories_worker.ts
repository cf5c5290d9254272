/** A thread that makes memories as large as it is told, by a thread of its own, and says how large they are. */
import { allocateMemories } from "../../../src/backends/emulate/memories.ts";

const scope = self as unknown as {
  onmessage: ((event: MessageEvent<readonly number[]>) => void) | null;
  postMessage(sizes: readonly number[]): void;
};

scope.onmessage = async ({ data }) => {
  const memories = await allocateMemories(data, 1);
  scope.postMessage(memories.map(({ buffer }) => buffer.byteLength));
};
