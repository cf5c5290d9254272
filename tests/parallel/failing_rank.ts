/**
 * The module of a rank's thread, with a fault: of the ranks, that of `?rank=` fails at `?point=`. Points are operations of the backend, or
 * `open` (while it loads), or `thread` (an error outside of everything that catches errors, which ends the thread). Every rank that ends
 * as it was told to says its number on `?channel=`.
 */
import "../../src/parallel/rank_worker.ts";
import { EmulateBackend } from "../../src/backends/emulate/backend.ts";
import { ReferenceBackend } from "../../src/backends/reference/backend.ts";
import type { RankCommand, RankSetup } from "../../src/parallel/messages.ts";

const scope = self as unknown as {
  readonly name: string;
  onmessage: (event: MessageEvent<RankSetup | RankCommand>) => void;
  close: () => void;
};
const query = new URL(import.meta.url).searchParams, point = query.get("point")!;
const rank = Number(/^mxoss-rank-(\d+)$/.exec(scope.name)![1]);

const end = scope.close.bind(scope);
scope.close = () => {
  const channel = new BroadcastChannel(query.get("channel")!);
  channel.postMessage(rank);
  // The message leaves with the next turn of the loop.
  setTimeout(() => {
    channel.close();
    end();
  }, 20);
};

if (rank === Number(query.get("rank"))) {
  const fail = () => {
    throw new Error(`told to fail in ${point}`);
  };
  if (point === "open") Deno.statSync = fail;
  else if (point === "thread") {
    const handle = scope.onmessage;
    scope.onmessage = (event) => event.data.kind === "compute" ? fail() : handle(event);
  } else {
    for (const { prototype } of [EmulateBackend, ReferenceBackend]) {
      if (!(point in prototype)) throw new Error(`no operation ${point}`);
      Object.defineProperty(prototype, point, { value: fail });
    }
  }
}
