/** The thread of `allocateMemories` (memories.ts). */
import { grow, type Growth, type GrowthReply } from "./memory_growth.ts";

const scope = self as unknown as {
  onmessage: ((event: MessageEvent<readonly Growth[]>) => void) | null;
  postMessage(reply: GrowthReply): void;
};

scope.onmessage = ({ data }) => scope.postMessage(grow(data));
