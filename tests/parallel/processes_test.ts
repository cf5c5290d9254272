/** Ranks as processes: where they meet, what they say, and that none is left when one is lost. */
import { meetingOf } from "../../src/cli/processes.ts";
import { FailureError, InputError } from "../../src/errors.ts";
import { Leader, type Order } from "../../src/parallel/leader.ts";
import { connectPatiently, encodeMessage, Wire } from "../../src/parallel/wire.ts";
import type { World } from "../../src/parallel/world.ts";
import { ownDevice } from "../../src/session/processes.ts";
import { assertEquals, assertRejects, assertThrows } from "../assert.ts";

const reading = (variables: Readonly<Record<string, string>>) => (name: string) => variables[name];
const TORCHRUN = { RANK: "1", WORLD_SIZE: "2", LOCAL_RANK: "1", MASTER_ADDR: "10.1.2.3", MASTER_PORT: "4000" };
const RANKS = { backend: "cuda", tp: 2, ep: 1 };

Deno.test("processes are ranks where they are as many as a command line has on GPUs", () => {
  assertEquals(meetingOf(RANKS, reading(TORCHRUN))?.place, { host: "10.1.2.3", port: 4000 });
  // torchrun listens at the port itself.
  const agent = { ...TORCHRUN, TORCHELASTIC_USE_AGENT_STORE: "True" };
  assertEquals(meetingOf(RANKS, reading(agent))?.place.port, 4001);
  for (const other of [{ tp: 1 }, { tp: 4 }, { backend: "emulate" }, { tp: [2] }]) {
    assertEquals(meetingOf({ ...RANKS, ...other }, reading(TORCHRUN)), null);
  }
  assertEquals(meetingOf(RANKS, reading({})), null);
  const { MASTER_ADDR: _, ...nowhere } = TORCHRUN, local = { ...nowhere, LOCAL_WORLD_SIZE: "2" };
  assertEquals(meetingOf(RANKS, reading(local))?.place, { host: "127.0.0.1", port: 29500 });
  const missing = assertThrows(() => meetingOf(RANKS, reading(nowhere)), InputError);
  assertEquals(missing.code, "missing");
  const named = { ...TORCHRUN, MASTER_ADDR: "node1" };
  assertThrows(() => meetingOf(RANKS, reading(named)), InputError, "MASTER_ADDR: expected an IPv4 address");
});

Deno.test("a process takes the device that is named in its place, or its place among those it sees", () => {
  const world: World = { rank: 5, size: 8, localRank: 1, localSize: 4, source: "torchrun", master: null };
  const place = { world, hipLibrary: undefined, collectivesLibrary: undefined };
  assertEquals(ownDevice({ ...place, device: undefined }, 4), 1);
  assertEquals(ownDevice({ ...place, device: undefined }, 1), 0);
  assertEquals(ownDevice({ ...place, device: [6, 7] }, 8), 7);
});

/** A port that is free. */
function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

/** A process that came to meet the first one. */
async function member(port: number, rank: number, size = 2) {
  const wire = new Wire<Order<string>, unknown>(await connectPatiently("127.0.0.1", port, 5000));
  wire.send({ kind: "hello", rank, size });
  return { wire, orders: wire.received() };
}

Deno.test("orders keep the types of their arrays, and are answered by all", async () => {
  const port = freePort(), meeting = Leader.meet<string>({ host: "127.0.0.1", port }, 2);
  // Who says nothing, or is none of them, is not let in.
  using _silent = await connectPatiently("127.0.0.1", port, 5000);
  const stranger = await member(port, 7);
  assertEquals((await stranger.orders.next()).done, true);
  stranger.wire.close();
  const other = await member(port, 1), leader = await meeting;
  const batch = { ids: Int32Array.of(1, -2), slots: Int32Array.of(0, 1), positions: Int32Array.of(5, 6) };
  const uniforms = Float32Array.of(0.1, 2 ** -30);
  const order: Order<string> = {
    kind: "decode",
    batch,
    steps: 3,
    sampling: [{ temperature: 1, topP: 1, topK: 0, uniforms }],
  };
  const asked = leader.ask(order);
  assertEquals((await other.orders.next()).value, order);
  other.wire.send({ kind: "done" });
  await asked;
  const lost = leader.ask({ kind: "close" });
  other.wire.close();
  const failure = await assertRejects(() => lost, FailureError);
  assertEquals(failure.message, "rank 1 of 2: its process ended without a word");
  await leader.end("over");
});

Deno.test("a rank that fails is named, and the others are told", async () => {
  const port = freePort(), meeting = Leader.meet<string>({ host: "127.0.0.1", port }, 3);
  const others = [await member(port, 1, 3), await member(port, 2, 3)], leader = await meeting;
  const asked = leader.ask({ kind: "open", setting: "model" });
  others[1]!.wire.send({ kind: "failed", text: "no memory" });
  const failure = await assertRejects(() => asked, FailureError);
  assertEquals(failure.message, "rank 2: no memory");
  await leader.end(failure.message);
  for (const { wire, orders } of others) {
    assertEquals((await orders.next()).value, { kind: "open", setting: "model" });
    assertEquals((await orders.next()).value, { kind: "abort", text: "rank 2: no memory" });
    assertEquals((await orders.next()).done, true);
    wire.close();
  }
});

Deno.test("a message that is too long is refused before it is read", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const connecting = Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port });
  using there = await listener.accept();
  using here = await connecting;
  await here.write(encodeMessage("x").map((byte, i) => i < 4 ? 0xff : byte));
  await assertRejects(() => new Wire(there).received().next(), Error, "a message of 4294967295 bytes");
});
