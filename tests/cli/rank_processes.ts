/** Processes of one command line on the GPUs of the test library, with the variables that torchrun sets. */
import { buildCudaHost, buildHipHost } from "../hip_host/build.ts";
import { hostLibrary } from "../kernels/host_machine.ts";
import { FreePort } from "../../tools/free_port.ts";

const ROOT = new URL("../../", import.meta.url);
const MAIN = new URL("main.ts", ROOT).pathname;
/** The flags of `deno task mxoss`, which are the launchers' too. */
const FLAGS: readonly string[] = /^deno (run .*) main\.ts$/.exec(
  JSON.parse(Deno.readTextFileSync(new URL("deno.json", ROOT))).tasks.mxoss,
)![1]!.replaceAll("'", "").split(" ");

/** What a process left. */
export interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** The words that start the program. */
export const PROGRAM: readonly string[] = [Deno.execPath(), ...FLAGS, "--no-check", MAIN];

/** Options that compute on the test library, which has no matrix units. */
export function onTestLibrary(): string[] {
  const library = buildHipHost();
  return ["--backend", "hip", "--hip-library", library, "--collectives-library", library, "--dtype", "f32"];
}

/** The same by CUDA, which processes reach one another's memory by, and the variable that says where libcuda is. */
export function onCudaLibrary(): { readonly options: readonly string[]; readonly env: Record<string, string> } {
  const library = buildCudaHost();
  return {
    options: ["--backend", "cuda", "--collectives-library", library, "--dtype", "f32"],
    env: { LD_LIBRARY_PATH: library.slice(0, library.lastIndexOf("/")) },
  };
}

/** Variables that the test library reads, and a secret, for processes of a run. */
export async function libraryVariables(devices: number): Promise<Record<string, string>> {
  return {
    ...{ NO_COLOR: "1", HIP_HOST_DEVICES: `${devices}`, HIP_HOST_KERNELS: await hostLibrary() },
    ...{ MXOSS_SELF_TESTS: "always", MXOSS_RUN_SECRET: crypto.randomUUID() },
  };
}

/** Starts processes; with one, without variables of others. */
export async function startRanks(
  size: number,
  args: readonly string[],
  env: (rank: number) => Readonly<Record<string, string>> = () => ({}),
  stdin = "",
): Promise<{ readonly children: readonly Deno.ChildProcess[]; readonly ended: Promise<Ended[]> }> {
  const shared = await libraryVariables(4), port = new FreePort();
  const children = Array.from({ length: size }, (_, rank) => {
    const said = { WORLD_SIZE: `${size}`, RANK: `${rank}`, LOCAL_RANK: `${rank}`, LOCAL_WORLD_SIZE: `${size}` };
    const world: Record<string, string> = size === 1
      ? {}
      : { ...said, MASTER_ADDR: "127.0.0.1", MASTER_PORT: `${port.number}` };
    return new Deno.Command(PROGRAM[0]!, {
      args: [...PROGRAM.slice(1), ...args],
      env: { ...shared, ...world, ...env(rank) },
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
  });
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  const ended = Promise.all(children.map(async (child, rank) => {
    const writer = child.stdin.getWriter(), output = child.output();
    if (rank === 0) await writer.write(new TextEncoder().encode(stdin)).catch(() => {});
    await writer.close().catch(() => {});
    const { code, stdout, stderr } = await output;
    return { code, stdout: text(stdout), stderr: text(stderr) };
  })).finally(() => port[Symbol.dispose]());
  return { children, ended };
}
