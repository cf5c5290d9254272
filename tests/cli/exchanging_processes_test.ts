/**
 * Processes of one machine whose ranks sum from memory to memory, on a test library whose collectives are slow: they
 * answer as one process does, and where memory cannot be reached sums go by the library.
 */
import { killOnce } from "../../tools/kill_ranks.ts";
import { assert, assertEquals, assertMatch } from "../assert.ts";
import { TemporaryDirectory } from "../checkpoint/container.ts";
import { withoutKernelCompiler } from "../hip_host/kernels.ts";
import { assertPromised } from "../quickly.ts";
import { ONLY_SOAKED, SOAK } from "../soak.ts";
import { type Ended, libraryVariables, onCudaLibrary, PROGRAM, startRanks } from "./rank_processes.ts";

const ignore = !SOAK || await withoutKernelCompiler();
const test = (name: string, fn: () => Promise<void>) => Deno.test({ name: `${name}${ONLY_SOAKED}`, ignore, fn });

const ASKED = ["--max-tokens", "6", "--json", "--stats", "How many?"];
/** Collectives that take so long that nobody would sum by them. */
const SLOW = { HIP_HOST_COLLECTIVE_MICROSECONDS: "20000" };
const MEMORY = /sums of up to \d+ tokens from memory to memory/, LIBRARY = /processes, sums by NCCL/;

/** Starts a command; `env` is by rank. */
async function start(
  size: number,
  args: readonly string[],
  env: (rank: number) => Record<string, string> = () => ({}),
) {
  const { options, env: found } = onCudaLibrary();
  return await startRanks(size, [...options, ...args], (rank) => ({ ...found, ...SLOW, ...env(rank) }));
}

/** The tokens of an answer, of which the first process says how its ranks sum. */
function idsOf([first, ...others]: readonly Ended[], how: RegExp): unknown {
  assertEquals(first!.code, 0, first!.stderr);
  for (const other of others) assertEquals(other, { code: 0, stdout: "", stderr: "" });
  assertMatch(first!.stderr, how);
  return JSON.parse(first!.stdout)["token_ids"];
}

test("two processes, and two with two ranks each, sum from memory to memory and answer as one does", async () => {
  using dir = new TemporaryDirectory();
  const ids = async (size: number, ranks: readonly string[]) => {
    const path = (rank: number) => `${dir.path}/calls-${rank}`;
    const { ended } = await start(size, [...ranks, ...ASKED], (rank) => ({ HIP_HOST_CALLS: path(rank) }));
    const answer = idsOf(await ended, MEMORY);
    for (let rank = 0; rank < size; rank++) {
      const text = Deno.readTextFileSync(path(rank));
      const calls = (name: string) => Number(new RegExp(`^${name} (\\d+)$`, "m").exec(text)?.[1] ?? 0);
      // Each opens what every rank of the other one has, and gives it back, and all of its own.
      assertEquals(calls("cuIpcOpenMemHandle_v2"), size === 1 ? 0 : ranks.length === 2 ? 1 : 4);
      assertEquals(calls("cuIpcCloseMemHandle"), calls("cuIpcOpenMemHandle_v2"));
      assertEquals(calls("cuMemFree_v2"), calls("cuMemAlloc_v2"));
    }
    return answer;
  };
  const one = await ids(1, ["--tp", "2"]);
  assertEquals(await ids(2, ["--tp", "2"]), one);
  assertEquals(await ids(2, ["--tp", "2", "--ep", "2"]), one);
});

test("processes sum by the library where one cannot export, or open, or is on another machine", async () => {
  const failing = (call: string) => (rank: number): Record<string, string> =>
    rank === 1 ? { HIP_HOST_FAIL: `${call}:1:801` } : {};
  for (
    const env of [
      failing("cuIpcGetMemHandle"),
      failing("cuIpcOpenMemHandle_v2"),
      (rank: number) => ({ HIP_HOST_MACHINE: `host ${rank}` }),
    ]
  ) {
    const ids = idsOf(await (await start(2, ["--tp", "2", ...ASKED], env)).ended, LIBRARY);
    assertEquals((ids as readonly number[]).length, 6);
  }
});

test("a process that is killed while others wait for its sums ends them, with one line", async () => {
  const { options, env } = onCudaLibrary(), args = [...options, "--tp", "2"];
  const variables = { ...await libraryVariables(2), ...SLOW, ...env };
  for (const victim of [0, 1]) {
    // Its kernels stop coming at some time in its steps.
    const draws = [(victim + 0.5) / 2, Math.random()], random = () => draws.shift()!;
    const killed = await killOnce({
      ...{ by: "torchrun", program: PROGRAM, args, env: variables },
      ...{ processes: 2, within: 1500, random },
    });
    const { codes, lines, milliseconds, answers, problems } = killed;
    assertPromised(performance.now() - milliseconds, 5, "the end of the other");
    const expected = victim === 1 ? "error: rank 1 of 2: its process" : "error: rank 1 of 2: the process of rank 0";
    assertEquals([codes, lines], [[1], [`${expected} ended without a word`]]);
    assert(answers > 0 && answers < problems, JSON.stringify(killed));
  }
});
