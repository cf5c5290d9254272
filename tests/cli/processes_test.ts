/** Commands whose ranks are processes of torchrun's variables, on the test library: they do what one process does. */
import { assertEquals, assertMatch } from "../assert.ts";
import { TemporaryDirectory } from "../checkpoint/container.ts";
import { withoutKernelCompiler } from "../hip_host/kernels.ts";
import { assertPromised } from "../quickly.ts";
import { ONLY_SOAKED, SOAK } from "../soak.ts";
import { until } from "../cluster/processes.ts";
import { FreePort } from "../../tools/free_port.ts";
import { type Ended, onTestLibrary, startRanks } from "./rank_processes.ts";

const PROBLEMS = new URL("../goldens/word-problems.jsonl", import.meta.url).pathname;
const ignore = !SOAK || await withoutKernelCompiler();
const test = (name: string, fn: () => Promise<void>) => Deno.test({ name: `${name}${ONLY_SOAKED}`, ignore, fn });

/** Runs a command as so many processes, of which the first speaks. */
async function together(size: number, command: readonly string[], args: readonly string[], stdin = ""): Promise<Ended> {
  const [first, ...others] = await (await startRanks(size, [...command, ...onTestLibrary(), ...args], undefined, stdin))
    .ended;
  assertEquals(first!.code, 0, first!.stderr);
  for (const other of others) assertEquals(other, { code: 0, stdout: "", stderr: "" });
  return first!;
}

test("two processes, and two with two ranks each, answer as one does, and only the first speaks", async () => {
  const ask = ["--max-tokens", "6", "--json", "--stats", "How many?"];
  const ids = async (processes: number, ranks: readonly string[]) => {
    const { stdout, stderr } = await together(processes, [], [...ranks, ...ask]);
    assertMatch(stderr, processes === 1 ? /tp 2, ep 1, sums/ : /tp 2, ep [12], 2 processes, sums by RCCL/);
    return JSON.parse(stdout)["token_ids"];
  };
  const one = await ids(1, ["--tp", "2"]);
  assertEquals(one.length, 6);
  assertEquals(await ids(2, ["--tp", "2"]), one);
  assertEquals(await ids(2, ["--tp", "2", "--ep", "2"]), one);
});

test("logits, comparisons and evaluations of processes are those of one process", async () => {
  using dir = new TemporaryDirectory();
  const text = dir.write("text.txt", "Sam has 47 marbles. Then Sam gets 25 more from a friend.");
  const asked = ["--data", PROBLEMS, "--limit", "2", "--max-tokens", "5", "--sequences", "2"];
  for (
    const [command, args, files] of [
      [["logits"], ["--tokens", "1,2,3"], [""]],
      // Two models at once, and what every operation gave.
      [["compare"], ["--text", text, "--limit", "4", "--b", "kv=fp8"], ["/results.json"]],
      [["eval", "gsm8k"], asked, ["/results.json"]],
    ] as const
  ) {
    for (const size of [1, 2]) {
      await together(size, command, ["--tp", "2", ...args, "--out", `${dir.path}/${command[0]}-${size}`]);
    }
    for (const file of files) {
      const [one, two] = [1, 2].map((size) => Deno.readFileSync(`${dir.path}/${command[0]}-${size}${file}`));
      assertEquals(two, one, command.join(" "));
    }
  }
});

test("an evaluation of models of one rank is divided among processes, each with a GPU of its own", async () => {
  using dir = new TemporaryDirectory();
  const args = ["eval", "gsm8k", ...onTestLibrary(), "--data", PROBLEMS, "--limit", "2", "--max-tokens", "4"];
  const { ended } = await startRanks(2, [...args, "--out", dir.path]);
  for (const [rank, { code, stderr }] of (await ended).entries()) {
    assertEquals(code, 0, stderr);
    assertMatch(stderr, new RegExp(`part ${rank + 1}/2 \\(torchrun process ${rank}\\): 1 of 2`));
  }
});

test("a conversation and a server are the first process's, with the GPUs of all", async () => {
  const said = await together(2, ["chat"], ["--tp", "2", "--max-tokens", "5"], "How many?\nAnd now?\n");
  assertEquals(said.stderr.split("\n").filter((line) => line.startsWith("note: cut off after 5 tokens")).length, 2);

  using free = new FreePort();
  const port = free.number, serve = ["serve", ...onTestLibrary(), "--tp", "2", "--port", `${port}`, "--context", "256"];
  const { children, ended } = await startRanks(2, serve), url = `http://127.0.0.1:${port}`;
  const status = async (path: string, body?: unknown) => {
    const init = body === undefined ? {} : { method: "POST", body: JSON.stringify(body) };
    const headers = { "content-type": "application/json" };
    try {
      const response = await fetch(url + path, { ...init, headers });
      return [response.status, await response.text()] as const;
    } catch {
      return [0, ""] as const;
    }
  };
  await until("the server is up", async () => (await status("/health"))[0] === 200);
  const [code, text] = await status("/v1/completions", { model: "tiny-gpt-oss", prompt: "How", max_tokens: 4 });
  assertEquals(code, 200, text);
  for (const child of children) child.kill("SIGTERM");
  assertEquals((await ended).map(({ code }) => code), [0, 0]);
});

test("where a process is lost a server that computes nothing ends, too, and says so", async () => {
  using free = new FreePort();
  const port = free.number, serve = ["serve", ...onTestLibrary(), "--tp", "2", "--port", `${port}`, "--context", "256"];
  const { children, ended } = await startRanks(2, serve);
  await until("the server is up", async () => {
    const there = await Deno.connect({ hostname: "127.0.0.1", port }).catch(() => null);
    there?.close();
    return there !== null;
  });
  children[1]!.kill("SIGKILL");
  const killed = performance.now();
  const [first] = await ended;
  assertEquals(first!.code, 1);
  assertMatch(first!.stderr, /\nerror: rank 1 of 2: its process ended without a word\n$/);
  assertPromised(killed, 5, "the end of the others");
});

test("a rank that fails ends both processes with its message", async () => {
  const failing = (rank: number): Record<string, string> => rank === 1 ? { HIP_HOST_FAIL: "kernel:200:719" } : {};
  const args = [...onTestLibrary(), "--tp", "2", "--max-tokens", "6", "--json", "How many?"];
  const [first, second] = await (await startRanks(2, args, failing)).ended;
  assertEquals([first!.code, second], [1, { code: 1, stdout: "", stderr: "" }]);
  assertMatch(first!.stderr, /^error: rank 1: [^\n]+, code 719[^\n]*\n$/);
});

test("processes of whose number ranks are no multiple are refused in one line", async () => {
  const [first, second] = await (await startRanks(2, [...onTestLibrary(), "Hi"])).ended;
  const expected = "--tp times --ep to be a multiple of 2, so that each has as many ranks";
  assertEquals(first, { code: 2, stdout: "", stderr: `error: 2 processes: expected ${expected}, got 1\n` });
  assertEquals(second, { code: 2, stdout: "", stderr: "" });
});

test("processes with different secrets say so, and keep nobody waiting who was not killed", async () => {
  const args = [...onTestLibrary(), "--tp", "2", "Hi"];
  const { children, ended } = await startRanks(2, args, (rank) => ({ MXOSS_RUN_SECRET: `the secret of rank ${rank}` }));
  // As whoever started them does where one has failed.
  const { code } = await children[1]!.status;
  children[0]!.kill("SIGKILL");
  const [, second] = await ended;
  assertEquals(code, 1);
  assertMatch(second!.stderr, /^error: rank 1 and who listens at 127\.0\.0\.1:\d+ have not the same secret, or run\n$/);
});
