/**
 * Ranks in several processes by a real MPI: what they compute has the bits of ranks that are threads; one that fails or
 * dies ends all, with one line and exit codes that are not 0.
 */
import { assert, assertEquals, assertMatch } from "../assert.ts";
import { assertPromised } from "../quickly.ts";
import { SOAK, soakedWhere } from "../soak.ts";
import { TINY } from "../cli/program.ts";
import { FreePort } from "../../tools/free_port.ts";
import { processesWith } from "./evaluation.ts";
import { Bench, exists, installed, until } from "./processes.ts";

const THERE = installed("mpirun");
const SKIPPED = soakedWhere(THERE, "Debian's openmpi-bin is not installed");
const test = (name: string, fn: () => Promise<void>) =>
  Deno.test({ name: `${name}${SKIPPED}`, ignore: !SOAK || !THERE, fn });

/** What a program said on stderr, without what mpirun says about its processes. */
const errors = (stderr: string) => stderr.split("\n").filter((line) => line.startsWith("error: "));

test("ranks in processes compute the bits of ranks in threads, tapped results included", async () => {
  using bench = new Bench();
  const text = bench.write("text.txt", "Sam has 47 marbles. Then Sam gets 25 more from a friend.");
  const compared = ["compare", "--text", text, "--limit", "8", "--b", "kv=fp8", "--threads", "2", "--tp", "2"];
  for (
    const [processes, args] of [
      [2, ["logits", "--tokens", "1,2,3,4,5,6,7,8", "--tp", "4"]],
      [4, ["logits", "--tokens", "1,2,3,4,5,6,7,8", "--tp", "2", "--ep", "2", "--backend", "reference"]],
      [2, compared],
    ] as const
  ) {
    const file = args[0] === "logits" ? "" : "/results.json";
    const threads = await bench.run(["mxoss", ...args, "--out", `${bench.path}/threads`]);
    assertEquals(threads.code, 0, threads.stderr);
    const started = await bench.run([
      "mpirun",
      "-n",
      `${processes}`,
      "mxoss",
      ...args,
      "--out",
      `${bench.path}/processes`,
    ]);
    assertEquals(started.code, 0, started.stderr);
    const [a, b] = ["threads", "processes"].map((name) => Deno.readFileSync(`${bench.path}/${name}${file}`));
    assertEquals(a, b, args.join(" "));
    for (const name of ["threads", "processes"]) Deno.removeSync(`${bench.path}/${name}`, { recursive: true });
  }
});

test("a rank that fails ends all processes with its line, and so does a mistake in the arguments", async () => {
  using bench = new Bench();
  Deno.mkdirSync(`${bench.path}/a`), Deno.mkdirSync(`${bench.path}/b`);
  Deno.symlinkSync(TINY, `${bench.path}/a/model`);
  const ask = ["mxoss", "--model", "model", "--tp", "2", "Hello"];
  // The second process does not find the model.
  const apart = ["mpirun", "-n", "1", "--wdir", `${bench.path}/a`, ...ask, ":", "-n", "1", "--wdir", `${bench.path}/b`];
  const failed = await bench.run([...apart, ...ask]);
  assertEquals(errors(failed.stderr).length, 1, failed.stderr);
  assertMatch(
    failed.stderr,
    /error: \S+model\.safetensors: .* for all ranks, got none that can be read for rank 1 on /,
  );
  assertEquals([failed.code, failed.stdout], [2, ""]);
  const uneven = await bench.run(["mpirun", "-n", "2", "mxoss", "--tp", "1", "Hello"]);
  assertEquals(errors(uneven.stderr), [
    "error: 2 processes: expected --tp times --ep to be a multiple of 2, so that each has as many ranks, got 1",
  ]);
  assertEquals(uneven.code, 2);
  const unknown = await bench.run(["mpirun", "-n", "2", "mxoss", "--tp", "x", "Hello"]);
  assertEquals(errors(unknown.stderr), ['error: --tp: expected an integer from 1 to 64, got "x"']);
  assert(unknown.code !== 0);
});

test("a conversation and a server are the first process's, with the threads of all", async () => {
  using bench = new Bench();
  const mpirun = ["mpirun", "-n", "2", "--bind-to", "none", "mxoss"], two = ["--tp", "2", "--threads", "1"];
  const chat = bench.command([...mpirun, "chat", ...two, "--max-tokens", "4"]);
  const { code, stderr } = await chat.output();
  assertEquals(code, 0, new TextDecoder().decode(stderr));

  using free = new FreePort();
  const port = free.number, url = `http://127.0.0.1:${port}`;
  const server = bench.command([...mpirun, "serve", ...two, "--port", `${port}`, "--context", "256"]).spawn();
  const ended = server.output();
  await until("the server answers", async () => {
    try {
      return (await (await fetch(`${url}/health`)).text(), true);
    } catch {
      return false;
    }
  });
  const body = JSON.stringify({ model: "tiny-gpt-oss", prompt: "How many", max_tokens: 4 });
  const headers = { "content-type": "application/json" };
  const reply = await fetch(`${url}/v1/completions`, { method: "POST", headers, body });
  assertEquals(reply.status, 200, await reply.text());
  server.kill("SIGTERM");
  await ended;
  assertEquals(processesWith({ MODEL: bench.env["MODEL"]!, PATH: bench.env["PATH"]! }), []);
});

test("a process that is killed ends all within seconds, and what was answered is kept", async () => {
  using bench = new Bench();
  const { MODEL, DATA } = bench.env, out = `${bench.path}/out`, env = { MXOSS_TEST: bench.path };
  const given = ["--model", MODEL!, "--data", DATA!, "--max-tokens", "100", "--sequences", "1", "--out", out];
  const ended = bench.command(
    ["mpirun", "-n", "2", "mxoss", "eval", "gsm8k", "--shard", "none", "--tp", "2", ...given],
    env,
  )
    .output();
  const answers = () => {
    const lines = exists(`${out}/answers.as-stored.kv-auto.tp2.jsonl`)
      ? Deno.readTextFileSync(`${out}/answers.as-stored.kv-auto.tp2.jsonl`).split("\n").length
      : 0;
    return Math.max(0, lines - 2);
  };
  await until("something is answered", () => answers() > 0);
  const [pid] = processesWith({ ...env, OMPI_COMM_WORLD_RANK: "1" }), killed = performance.now();
  Deno.kill(pid!, "SIGKILL");
  const { code } = await ended;
  assert(code !== 0);
  assertPromised(killed, 5, "the end of the others");
  assertEquals(processesWith(env), []);
  assert(answers() > 0);
});
