/** Makes memories of as many bytes as said, and collects garbage; memories_test.ts starts it with a trace of V8. */
import { allocateMemories } from "../../../src/backends/emulate/memories.ts";

const [bytes, many] = Deno.args.map(Number), half = bytes! / 2;
const memories = await allocateMemories([half, half], many);
(globalThis as unknown as { gc(): void }).gc();
if (memories.some(({ buffer }) => buffer.byteLength !== half)) Deno.exit(1);
