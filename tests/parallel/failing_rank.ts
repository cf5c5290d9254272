/**
 * The module of a rank's thread, with a fault that the variable MXOSS_TEST_FAULT describes: of the ranks, `rank` fails
 * at `point`. Points are operations of the backend, or `open` (while it loads), or `thread` (an error outside of
 * everything that catches errors, which ends the thread). Every rank that ends as it was told to says its number on
 * `channel`. (Not in the module's URL: each new URL is type-checked anew, which takes seconds.)
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
const fault = new URLSearchParams(Deno.env.get("MXOSS_TEST_FAULT")), point = fault.get("point")!;
const rank = Number(/^mxoss-rank-(\d+)$/.exec(scope.name)![1]);

const end = scope.close.bind(scope);
scope.close = () => {
  const channel = new BroadcastChannel(fault.get("channel")!);
  channel.postMessage(rank);
  // The message leaves with the next turn of the loop.
  setTimeout(() => {
    channel.close();
    end();
  }, 20);
};

if (rank === Number(fault.get("rank"))) {
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
