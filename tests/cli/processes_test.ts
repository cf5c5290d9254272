/** Ranks as processes of torchrun's variables, on the test library, and what is left when one is killed. */
import { assert, assertEquals, assertMatch } from "../assert.ts";
import { buildHipHost } from "../hip_host/build.ts";
import { withoutKernelCompiler } from "../hip_host/kernels.ts";
import { hostLibrary } from "../kernels/host_machine.ts";
import { ONLY_SOAKED, SOAK } from "../soak.ts";

const MAIN = new URL("../../main.ts", import.meta.url).pathname;
const ignore = !SOAK || await withoutKernelCompiler();
/** How long the others may take to end, in milliseconds. */
const LATEST_MS = 5000;

interface Run {
  /** Resolves when the two have met. */
  readonly met: () => Promise<void>;
  readonly children: readonly Deno.ChildProcess[];
  readonly finished: Promise<{ code: number; stdout: string; stderr: string }[]>;
}

/** Starts two ranks. */
async function start(tokens: number, env: readonly Record<string, string>[] = [{}, {}]): Promise<Run> {
  const library = buildHipHost(), kernels = await hostLibrary();
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 }), { port } = listener.addr;
  listener.close();
  const children = [0, 1].map((rank) =>
    new Deno.Command(Deno.execPath(), {
      args: [
        ...["run", "-A", MAIN, "--backend", "hip", "--hip-library", library, "--collectives-library", library],
        ...["--dtype", "f32", "--tp", "2", "--max-tokens", `${tokens}`, "--json", "How many?"],
      ],
      env: {
        ...{ NO_COLOR: "1", HIP_HOST_DEVICES: "2", HIP_HOST_KERNELS: kernels, WORLD_SIZE: "2", RANK: `${rank}` },
        ...{ LOCAL_RANK: `${rank}`, MASTER_ADDR: "127.0.0.1", MASTER_PORT: `${port}`, ...env[rank] },
      },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn()
  );
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  const finished = Promise.all(children.map(async (child) => {
    const { code, stdout, stderr } = await child.output();
    return { code, stdout: text(stdout), stderr: text(stderr) };
  }));
  // An established connection (01) at the port.
  const connected = new RegExp(`:${port.toString(16).toUpperCase().padStart(4, "0")} [0-9A-F]{8}:[0-9A-F]{4} 01 `);
  const met = async () => {
    while (!connected.test(Deno.readTextFileSync("/proc/net/tcp"))) await new Promise((done) => setTimeout(done, 20));
  };
  return { children, finished, met };
}

Deno.test({ name: `two processes answer as one does, and only the first speaks${ONLY_SOAKED}`, ignore }, async () => {
  const [first, second] = await (await start(6)).finished;
  assertEquals([first!.code, second], [0, { code: 0, stdout: "", stderr: "" }], first!.stderr);
  assert(first!.stdout.length > 0);
});

Deno.test({ name: `a rank that fails ends both processes with its message${ONLY_SOAKED}`, ignore }, async () => {
  const [first, second] = await (await start(6, [{}, { HIP_HOST_FAIL: "kernel:200:719" }])).finished;
  assertEquals([first!.code, second], [1, { code: 1, stdout: "", stderr: "" }]);
  assertMatch(first!.stderr, /^error: rank 1: [^\n]+, code 719[^\n]*\n$/);
});

for (const victim of [0, 1]) {
  Deno.test(
    { name: `the other process ends in time when rank ${victim} is killed${ONLY_SOAKED}`, ignore },
    async () => {
      for (const after of [0, 300, 900, 2500]) {
        const { children, finished, met } = await start(400);
        await met();
        await new Promise((resolve) => setTimeout(resolve, after));
        children[victim]!.kill("SIGKILL");
        const killed = performance.now();
        const other = (await finished)[1 - victim]!, took = performance.now() - killed;
        assert(took <= LATEST_MS, `${took} ms after ${after} ms`);
        assertEquals(other.code, 1);
        assertMatch(other.stderr, /^error: rank 1 of 2: [^\n]*ended without a word\n$/);
      }
    },
  );
}
