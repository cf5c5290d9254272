/** What processes of different hosts may find of each other: another program, other files, nobody. */
import { sharingOf } from "../../src/cli/sharing.ts";
import { sampleFiles } from "../../src/checkpoint/same_files.ts";
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { FailureError, InputError } from "../../src/errors.ts";
import { lendThreads } from "../../src/parallel/lend_threads.ts";
import { meet } from "../../src/parallel/meeting.ts";
import type { DeviceRankSetup } from "../../src/parallel/messages.ts";
import { Processes, type ProcessesOptions } from "../../src/parallel/processes.ts";
import { Wire } from "../../src/parallel/wire.ts";
import type { Link, LinkListener } from "../../src/parallel/link.ts";
import { FreePort } from "../../tools/free_port.ts";
import { canListen } from "../addresses.ts";
import { assertEquals, assertMatch, assertRejects } from "../assert.ts";
import { TINY } from "../cli/program.ts";
import { HeldTimers } from "../timers.ts";

const KEY = { secret: "known to all of them", run: "a run" };

/** Two processes, in this one. */
async function two(
  options: readonly [ProcessesOptions, ProcessesOptions],
  host = "127.0.0.1",
): Promise<[Processes, Processes]> {
  using port = new FreePort();
  const place = { host, port: port.number };
  const links = await Promise.all([0, 1].map((rank) => meet(place, { rank, size: 2, key: KEY })));
  return links.map((link, rank) => new Processes(link, options[rank])) as [Processes, Processes];
}

const ends = (processes: readonly Processes[]) => Promise.all(processes.map((one) => one.end(1)));

Deno.test("a process of another program is named before anything is computed, and one of the same is not", async () => {
  const own = { program: "mxoss 1.0.0, revision: a", host: "hosta" };
  const same = await two([{ own }, { own: { ...own, host: "hostb" } }]);
  await same[0].introduced();
  await ends(same);
  const others = await two([{ own }, { own: { program: "mxoss 1.0.0, revision: b", host: "hostb" } }]);
  const { message } = await assertRejects(() => others[0].introduced(), InputError);
  const expected = "the program that rank 0 is, mxoss 1.0.0, revision: a, got mxoss 1.0.0, revision: b";
  assertEquals(message, `rank 1 on hostb: expected ${expected}`);
  await ends(others);
  const unheard = await two([{ own }, {}]);
  await unheard[1].end(1);
  await assertRejects(() => unheard[0].introduced(), FailureError, "rank 1 of 2: its process ended without a word");
  await unheard[0].end(1);
});

Deno.test("a process that is not heard of any more is named, also where nothing is being computed", async () => {
  const processes = await two([{ aliveMs: 5 }, { aliveMs: 1 << 30 }]), lost = Promise.withResolvers<Error>();
  processes[0].onFailure = lost.resolve;
  assertEquals((await lost.promise).message, "rank 1 of 2: was not heard of for 60 s");
  await ends(processes);
});

Deno.test("a process that is heard of now and then is waited for, and six looks in a row without a word end it", () => {
  using looks = new HeldTimers("interval", 7), words = new HeldTimers("interval", 8);
  const failures: string[] = [], linked: LinkListener[] = [];
  /** A way on which nothing is late. */
  const link = (rank: number): Link => ({
    ...{ rank, size: 2, mpi: null },
    send: (to, bytes) => linked[to]!.heard(rank, bytes),
    listen: (listener) => linked[rank] = listener,
    end: () => Promise.resolve(),
  });
  const [first] = [7, 8].map((aliveMs, rank) => new Processes(link(rank), { aliveMs })) as [Processes, Processes];
  first.onFailure = ({ message }) => failures.push(message);
  for (const silent of [5, 1, 5, 5]) {
    for (let i = 0; i < silent; i++) looks.goOff();
    words.goOff();
  }
  for (let i = 0; i < 5; i++) looks.goOff();
  assertEquals(failures, []);
  looks.goOff();
  assertEquals(failures, ["rank 1 of 2: was not heard of for 60 s"]);
});

Deno.test("a process that has other files below the model's path refuses before it loads, as a mistake", async () => {
  const [first, second] = await two([{}, {}]);
  const lending = lendThreads(second, { devices: () => [], onFailure: () => {} });
  const files = sampleFiles(openCheckpoint(TINY).source).map((file) => ({ ...file, sha256: "of another" }));
  const lost = Promise.withResolvers<Error>(), listener = { reply: () => {}, died: () => {}, lost: lost.resolve };
  const port = first.remote({ session: first.begin(), rank: 1, process: 1, files }, listener);
  const setup = { kind: "open", device: { kind: "cuda" }, request: { config: { vocab: 8 } }, sizes: { tp: 2, ep: 1 } };
  port.postMessage(setup as unknown as DeviceRankSetup);
  const cause = await lost.promise;
  if (!(cause instanceof InputError)) throw cause;
  assertMatch(cause.message, /model\.safetensors: expected the same file for all ranks, got another one for rank 1/);
  await first.end(cause.exitCode);
  assertEquals(await lending, 2);
  await second.end(1);
});

Deno.test("a process ends also where another one takes nothing any more of what was sent to it", async () => {
  using port = new FreePort();
  const place = { host: "127.0.0.1", port: port.number }, limits = { ending: 20 };
  const [first, second] = await Promise.all(
    [0, 1].map((rank) => meet(place, { rank, size: 2, key: KEY }, limits)),
  ) as [Link, Link];
  // More than systems keep for a connection of which nobody reads.
  first.send(1, new Uint8Array(1 << 26));
  await first.end(1);
  await second.end(1);
});

Deno.test("who finds no way to the first process goes on trying until its time is over, at all addresses", async () => {
  const place = { host: "224.0.0.1", others: ["127.0.0.1"], port: 9 }, limits = { patience: 350, proof: 100 };
  const started = performance.now();
  const { message } = await assertRejects(() => meet(place, { rank: 1, size: 2, key: KEY }, limits), FailureError);
  assertMatch(message, /^rank 1 of 2: rank 0 cannot be reached at 224\.0\.0\.1:9 or 127\.0\.0\.1:9 within \d s: /);
  assertEquals(performance.now() - started >= 350, true);
});

const V6 = canListen("::1");

Deno.test({
  name: `processes meet at an IPv6 address, which messages have in brackets${V6 ? "" : " (skipped: no IPv6 here)"}`,
  ignore: !V6,
}, async () => {
  const processes = await two([{}, {}], "::1");
  assertEquals(processes.map(({ rank, size }) => [rank, size]), [[0, 2], [1, 2]]);
  await ends(processes);
  const nobody = meet({ host: "::1", port: 9 }, { rank: 1, size: 2, key: KEY }, { patience: 1, proof: 100 });
  const { message } = await assertRejects(() => nobody, FailureError);
  assertMatch(message, /^rank 1 of 2: rank 0 cannot be reached at \[::1\]:9 within /);
});

Deno.test("where the first process listens if its address says little there", () => {
  const place = (given: Readonly<Record<string, string>>) => {
    const variables: Record<string, string> = { RANK: "0", WORLD_SIZE: "2", ...given };
    return sharingOf([{ backend: "cuda", tp: 2, ep: 1 }], (name) => variables[name])?.place;
  };
  const here = { host: "127.0.0.1", port: 29500 };
  // As Kubeflow's PyTorchJob has it.
  assertEquals(place({ MASTER_ADDR: "localhost" }), { ...here, listen: "0.0.0.0" });
  for (const alone of [{ MASTER_ADDR: "127.0.0.1" }, { MASTER_ADDR: "localhost", LOCAL_WORLD_SIZE: "2" }]) {
    assertEquals(place(alone), here);
  }
});

/** A connection that notes what it is told about messages that wait for an acknowledgement of the one before. */
function noted(connection: Deno.TcpConn, log: (boolean | undefined | "write")[]): Deno.TcpConn {
  const { setNoDelay, write } = connection;
  return Object.assign(connection, {
    setNoDelay: (given?: boolean) => (log.push(given), setNoDelay.call(connection, given)),
    write: (bytes: Uint8Array) => (log.push("write"), write.call(connection, bytes)),
  });
}

Deno.test("questions and answers between processes wait for no acknowledgement of the network", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const connecting = Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port });
  const keys = { sending: new Uint8Array(32), receiving: new Uint8Array(32) };
  // Without this Linux acknowledges after 40 ms, where nothing else is to be said.
  const here: (boolean | undefined | "write")[] = [], there: typeof here = [];
  const asking = new Wire(noted(await connecting, here), keys);
  const answering = new Wire(noted(await listener.accept(), there), keys);
  assertEquals([here, there], [[true], [true]]);
  const answered = (async () => {
    for await (const question of answering.received()) answering.send(question);
  })();
  const answers = asking.received();
  // A small message leaves in one piece; of those beyond it the end would wait.
  for (const size of [100, 1 << 17]) {
    const question = new Uint8Array(size).fill(7);
    asking.send(question);
    assertEquals((await answers.next()).value, question);
    if (size === 100) assertEquals([here, there], [[true, "write"], [true, "write"]]);
  }
  asking.close();
  await answered;
  answering.close();
  assertEquals([here, there].map((log) => log.filter((what) => what !== "write")), [[true], [true]]);
});
