/** Processes that share models: which do, where they meet, whom they let in, and what they say when one is lost. */
import { COMMANDS } from "../../src/cli/commands.ts";
import { refuseSeveral, sharingOf } from "../../src/cli/sharing.ts";
import { FailureError, InputError } from "../../src/errors.ts";
import type { RunKey } from "../../src/parallel/handshake.ts";
import { lendThreads } from "../../src/parallel/lend_threads.ts";
import { meet, type MeetingLimits } from "../../src/parallel/meeting.ts";
import { ownDevices } from "../../src/parallel/own_devices.ts";
import { ownRanks } from "../../src/parallel/own_ranks.ts";
import type { Downward } from "../../src/parallel/process_messages.ts";
import { Processes } from "../../src/parallel/processes.ts";
import type { RankReply } from "../../src/parallel/messages.ts";
import { Wire, type WireKeys } from "../../src/parallel/wire.ts";
import { assertEquals, assertMatch, assertRejects, assertThrows } from "../assert.ts";
import { FreePort } from "../../tools/free_port.ts";
import { HeldTimers } from "../timers.ts";
import { withVariables } from "../variables.ts";

const reading = (variables: Readonly<Record<string, string>>) => (name: string) => variables[name];
const TORCHRUN = { RANK: "1", WORLD_SIZE: "2", LOCAL_RANK: "1", MASTER_ADDR: "10.1.2.3", MASTER_PORT: "4000" };
const RANKS = { backend: "cuda", tp: 2, ep: 1 } as const;
const OPEN_MPI = { OMPI_COMM_WORLD_RANK: "1", OMPI_COMM_WORLD_SIZE: "2" };
const ONE = { ...RANKS, tp: 1 } as const, ON_PROCESSOR = { ...RANKS, backend: "emulate" } as const;

Deno.test("a command that writes one result is refused in each of several processes", async () => {
  for (const alone of [{}, { RANK: "0", WORLD_SIZE: "1" }]) refuseSeveral("quantize", reading(alone));
  const given = { quantize: ["--model", "DIR", "--scheme", "ptpc_fp8", "--out", "F"], report: ["DIR"] };
  using _variables = withVariables(OPEN_MPI);
  for (const [name, args] of Object.entries(given)) {
    const { message } = await assertRejects(() => COMMANDS.get(name)!.parse(args), InputError);
    const expected = "one process, as each would write the same files, got 2 that Open MPI started";
    assertEquals(message, `${name}: expected ${expected}`);
  }
  // What shows what a host has may be asked on each.
  assertEquals((await COMMANDS.get("devices")!.parse([])).sharing, null);
});

Deno.test("processes share models whose ranks can be shared out among them, and meet where GPUs compute", () => {
  const place = (variables: Readonly<Record<string, string>>) => sharingOf([RANKS], reading(variables))?.place;
  assertEquals(place(TORCHRUN), { host: "10.1.2.3", port: 4000 });
  // torchrun listens at the port itself.
  assertEquals(place({ ...TORCHRUN, TORCHELASTIC_USE_AGENT_STORE: "True" })?.port, 4001);
  assertEquals(sharingOf([{ ...RANKS, tp: 4 }], reading(TORCHRUN))?.place?.port, 4000);
  assertEquals(sharingOf([ONE, RANKS, ON_PROCESSOR], reading(TORCHRUN))?.place?.port, 4000);
  assertEquals(sharingOf([ON_PROCESSOR, ONE], reading(TORCHRUN))?.place, null);
  assertEquals([sharingOf([RANKS], reading({})), sharingOf([], reading(TORCHRUN))], [null, null]);
  const { MASTER_ADDR: _, ...nowhere } = TORCHRUN;
  assertEquals(place({ ...nowhere, LOCAL_WORLD_SIZE: "2" }), { host: "127.0.0.1", port: 29500 });
  assertEquals(assertThrows(() => place(nowhere), InputError).code, "missing");
  assertEquals(place({ ...TORCHRUN, MASTER_ADDR: "localhost" })?.host, "127.0.0.1");
  const named = { ...TORCHRUN, MASTER_ADDR: "no.such.host.invalid" };
  assertThrows(() => place(named), InputError, "MASTER_ADDR: expected an address, or the name of a host");
  // A host that knows itself by a name of its own only.
  const first = { ...TORCHRUN, RANK: "0", LOCAL_RANK: "0", LOCAL_WORLD_SIZE: "1", MASTER_ADDR: "127.0.1.1" };
  assertEquals(place(first), { host: "127.0.1.1", port: 4000, listen: "0.0.0.0" });
  // IPv6 addresses, with and without brackets; one of a single cable says too little.
  for (const address of ["fd00:0:0::2", "[FD00::2]"]) {
    assertEquals(place({ ...TORCHRUN, MASTER_ADDR: address }), { host: "fd00::2", port: 4000 });
  }
  assertEquals(place({ ...first, MASTER_ADDR: "::1" }), { host: "::1", port: 4000, listen: "::" });
  assertThrows(() => place({ ...TORCHRUN, MASTER_ADDR: "fe80::1%eth0" }), InputError, "MASTER_ADDR: expected an addr");
});

Deno.test("processes of whose number ranks are no multiple are refused, wherever models are computed", () => {
  const refused = [[ONE], [{ ...RANKS, tp: 3 }], [{ ...ON_PROCESSOR, tp: 1 }], [RANKS, { ...RANKS, tp: 3 }]] as const;
  for (const models of refused) {
    const expected = /^2 processes: expected .* to be a multiple of 2, so that each has as many ranks, got [13]$/;
    assertMatch(assertThrows(() => sharingOf(models, reading(TORCHRUN)), InputError).message, expected);
  }
});

Deno.test("each process has as many ranks as any other, in the order of processes", () => {
  const shared = (size: number, ranks: number) => Array.from({ length: size }, (_, i) => ownRanks(i, size, ranks));
  assertEquals(shared(3, 6), [{ first: 0, count: 2 }, { first: 2, count: 2 }, { first: 4, count: 2 }]);
  assertEquals(shared(2, 2), [{ first: 0, count: 1 }, { first: 1, count: 1 }]);
});

Deno.test("a process takes the devices that are named in its place, or those of its place among what it sees", () => {
  const world = { rank: 5, localRank: 1 }, unnamed = { device: undefined, world };
  assertEquals(ownDevices(unnamed, 1, 4), [1]);
  assertEquals(ownDevices(unnamed, 2, 4), [2, 3]);
  assertEquals(ownDevices(unnamed, 1, 1), [0]);
  assertEquals(ownDevices({ device: [6, 7], world }, 1, 8), [7]);
  assertEquals(ownDevices({ device: undefined, world: { rank: 2, localRank: null } }, 1, 4), [2]);
  assertEquals(ownDevices({ device: undefined, world: null }, 2, 4), [0, 1]);
  assertThrows(() => ownDevices(unnamed, 2, 1), InputError, "GPUs: expected at least 2");
});

const KEY: RunKey = { secret: "known to all of them", run: "a run" };

/** Processes of a run, in this one. */
function gather(port: number, size: number, rank: number, key = KEY, limits: Partial<MeetingLimits> = {}) {
  return meet({ host: "127.0.0.1", port }, { rank, size, key }, limits);
}

async function met(size: number): Promise<Processes[]> {
  using port = new FreePort();
  const links = await Promise.all(Array.from({ length: size }, (_, rank) => gather(port.number, size, rank)));
  return links.map((link) => new Processes(link));
}

const LISTENER = { reply: () => {}, died: () => {}, lost: () => {} };

Deno.test("what is said to ranks elsewhere keeps the types of its arrays, and so does what they say", async () => {
  const [first, second] = await met(2) as [Processes, Processes];
  const batch = { ids: Int32Array.of(1, -2), slots: Int32Array.of(0, 1), positions: Int32Array.of(5, 6) };
  const uniforms = Float32Array.of(0.1, 2 ** -30), session = first.begin(), said = Promise.withResolvers<RankReply>();
  const message = {
    ...{ kind: "decode", batch, steps: 3 } as const,
    sampling: [{ temperature: 1, topP: 1, topK: 0, uniforms }],
  };
  const port = first.remote({ session, rank: 1, process: 1, files: [] }, { ...LISTENER, reply: said.resolve });
  port.postMessage(message);
  assertEquals(await second.next(), { kind: "rank", session, rank: 1, message } satisfies Downward);
  const reply = { kind: "tokens", ids: Int32Array.of(7), step: 2 } as const;
  second.tell({ kind: "rank", session, rank: 1, said: reply, columns: null });
  assertEquals(await said.promise, reply);
  await first.end(0);
  assertEquals(await second.next(), { kind: "end", code: 0 });
  await second.end(0);
});

Deno.test("a process that goes is named to its listeners, and whoever is left is told of the end", async () => {
  const [first, second, third] = await met(3) as [Processes, Processes, Processes];
  const lost = Promise.withResolvers<Error>(), failed = Promise.withResolvers<Error>();
  first.onFailure = failed.resolve;
  first.remote({ session: first.begin(), rank: 1, process: 1, files: [] }, { ...LISTENER, lost: lost.resolve });
  await second.link.end(1);
  assertEquals((await lost.promise).message, "rank 1 of 3: its process ended without a word");
  assertEquals(await failed.promise, await lost.promise);
  assertThrows(
    () => first.remote({ session: 1, rank: 1, process: 1, files: [] }, LISTENER),
    FailureError,
    "rank 1 of 3",
  );
  third.tell({ kind: "broken", text: "no memory", mistake: null });
  await first.end(1);
  assertEquals(await third.next(), { kind: "end", code: 1 });
  const left = await assertRejects(() => third.next(), FailureError);
  assertEquals(left.message, "rank 2 of 3: the process of rank 0 ended without a word");
  await third.end(1);
});

Deno.test("a process whose first one is not heard of any more ends, though no connection was closed", async () => {
  const [first, second] = await met(2) as [Processes, Processes];
  const lending = { devices: () => [], onFailure: () => {}, lookMs: 1 };
  const silent = await assertRejects(() => lendThreads(second, lending), FailureError);
  assertEquals(silent.message, "rank 1 of 2: rank 0 was not heard of for 120 s");
  await Promise.all([first.end(1), second.end(1)]);
});

Deno.test("only who knows the secret, and is of the run, is let in; strangers keep nobody out", async () => {
  // Its patience ends when strangers have come.
  using patience = new HeldTimers("timeout", 1000);
  using free = new FreePort();
  const port = free.number, limits = { patience: 1000, pending: 2, proof: 300 };
  const first = gather(port, 2, 0, KEY, limits);
  const late = assertRejects(
    () => first,
    FailureError,
    "rank 1 of 2 did not come within 1 s; somebody came from 127",
  );
  for (const key of [{ ...KEY, secret: "known to others" }, { ...KEY, run: "another run" }]) {
    await assertRejects(() => gather(port, 2, 1, key), FailureError, "have not the same secret, or run");
  }
  const silent = await Promise.all([0, 1, 2, 3].map(() => Deno.connect({ hostname: "127.0.0.1", port })));
  const talker = await Deno.connect({ hostname: "127.0.0.1", port });
  await talker.write(new TextEncoder().encode("GET / HTTP/1.1\r\nHost: a-name-that-is-longer-than-a-greeting\r\n\r\n"));
  for (const stranger of [...silent, talker]) {
    assertEquals(await stranger.read(new Uint8Array(1)).catch(() => null), null);
    stranger.close();
  }
  patience.goOff();
  await late;
  using another = new FreePort();
  const other = another.number, meeting = gather(other, 2, 0), wrong = gather(other, 3, 2);
  await assertRejects(() => wrong, FailureError, "rank 0 was started as one of 2 processes, rank 2 as one of 3");
  const member = await gather(other, 2, 1);
  await member.end(0);
  await (await meeting).end(0);
});

Deno.test("who listens in place of the first process learns nothing and tells the others nothing", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr, member = gather(port, 2, 1);
  const connection = await listener.accept();
  // It answers by what it was sent.
  const hello = new Uint8Array(48);
  await connection.read(hello);
  await connection.write(Uint8Array.of(...hello.subarray(0, 8), ...new Uint8Array(64).fill(7)));
  await assertRejects(() => member, FailureError, "have not the same secret");
  assertEquals(await connection.read(new Uint8Array(32)).catch(() => null), null);
  connection.close();
  // Or it is a server of something else, which may be there before the first process is refused the port.
  const other = gather(port, 2, 1), asked = await listener.accept();
  await asked.write(new TextEncoder().encode("SSH-2.0-OpenSSH_9.2\r\n"));
  await assertRejects(() => other, FailureError, "is not rank 0, but another program");
  asked.close();
});

Deno.test("a message that is too long, changed or repeated is refused", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const keys: WireKeys = { sending: new Uint8Array(32), receiving: new Uint8Array(32) };
  const arriving = async (...messages: readonly Uint8Array[]) => {
    const connecting = Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port });
    using there = await listener.accept();
    using here = await connecting;
    for (const message of messages) await here.write(message);
    const received = new Wire(there, keys).received();
    for (let i = 1; i < messages.length; i++) assertEquals((await received.next()).value, Uint8Array.of(1, 2, 3));
    await received.next();
  };
  const sent = new Uint8Array(4 + 3 + 32),
    copy: Deno.Conn = await (async () => {
      const connecting = Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port });
      const there = await listener.accept(), wire = new Wire(await connecting, keys);
      wire.send(Uint8Array.of(1, 2, 3));
      await wire.sent();
      wire.close();
      return there;
    })();
  await copy.read(sent);
  copy.close();
  await arriving(sent, sent.map((byte, i) => i < 4 ? 0xff : byte)).catch((thrown) => {
    assertEquals(thrown.message, "a message of 4294967295 bytes came from another process");
  });
  await assertRejects(() => arriving(sent.map((byte, i) => i === 5 ? byte ^ 1 : byte)), FailureError, "changed it");
  await assertRejects(() => arriving(sent, sent), FailureError, "changed it");
});
