/**
 * Kills one process of several that share a model, again and again, each time while they compute, and counts what is
 * left:
 *
 *     deno run -A tools/kill_ranks.ts [--kills 20] [--processes 2] [--by torchrun|mpirun] [--seed 1] [--within 2000]
 *         [--program "mxoss"] [--out FILE.json] -- [options of mxoss eval, for instance --backend cuda --tp 2]
 *
 * `torchrun` stands for its variables: the processes are started here. Each time they answer problems until a random
 * process is sent SIGKILL, at a random moment of `--within` milliseconds after the first answer is in the journal. A
 * kill counts if answers were missing then, and the victim was there. Others have to end within five seconds, by exit
 * codes that are not 0 and one line of the program's in all; nothing may be left: no process, no zombie, no file in
 * /dev/shm, no memory of an NVIDIA device.
 */
import { parseArgs } from "node:util";
import { asset } from "../src/assets.ts";
import { choiceOf, countOf, optionsOrEnd } from "./options.ts";
import { spreadOf, spreadText } from "../src/bench/spread.ts";
import { largest } from "../src/largest.ts";
import { Random } from "../src/session/random.ts";
import { FreePort } from "./free_port.ts";

/** How processes are started, and with what. */
export interface KillOptions {
  readonly by: "torchrun" | "mpirun";
  readonly processes: number;
  /** Words that start the program. */
  readonly program: readonly string[];
  /** Options of `mxoss eval`. */
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Milliseconds after the first answer within which a process is killed. */
  readonly within: number;
  readonly random: () => number;
}

/** What a kill led to. */
export interface Killed {
  readonly victim: number;
  /** Milliseconds from the first answer to the kill, and answers that there were then, of all. */
  readonly after: number;
  readonly answers: number;
  readonly problems: number;
  /** Milliseconds from the kill until all others had ended. */
  readonly milliseconds: number;
  readonly codes: readonly number[];
  /** Lines of the program on stderr, of all others together. */
  readonly lines: readonly string[];
  /** Processes that are still there, zombies included, files of /dev/shm and bytes of devices that were not before. */
  readonly left: readonly string[];
}

/** How long others may take, in milliseconds. */
const LATEST_MS = 5000;
/** How long a run may take until it answers. */
const PATIENCE_MS = 300_000;

/**
 * How often it is looked whether somebody has waited for a process that has ended, and whether memory that nobody has
 * mapped is still there: that of others goes soon.
 */
const ZOMBIE_TRIES = 300, MEMORY_TRIES = 100;

const MARK = "MXOSS_KILL_RUN";
const PROBLEMS = asset("tests/goldens/word-problems.jsonl").pathname;
const SHARED_MEMORY = "/dev/shm";

function names(path: string): string[] {
  try {
    return Array.from(Deno.readDirSync(path), ({ name }) => name);
  } catch {
    return [];
  }
}

function read(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return "";
  }
}

const numbers = () => names("/proc").filter((name) => /^\d+$/.test(name));

/** Processes of the program whose environment has a variable. */
function marked(entry: string): number[] {
  return numbers().filter((pid) =>
    read(`/proc/${pid}/environ`).split("\0").includes(entry) && read(`/proc/${pid}/cmdline`).includes("\0eval\0")
  ).map(Number);
}

/** A process by its id and the time of its start, which no other has. */
function identity(pid: number): string | null {
  const [, state, started] = /\) (\S) (?:\S+ ){18}(\S+)/.exec(read(`/proc/${pid}/stat`)) ?? [];
  return state === undefined ? null : `${pid} ${started}`;
}

/** Files of shared memory that no process has mapped, twice, as others make and remove some meanwhile. */
async function orphanedMemory(before: readonly string[]): Promise<string[]> {
  let found: string[] = [];
  for (let tries = 0; tries < MEMORY_TRIES; tries++) {
    found = await orphanedNow(before);
    if (found.length === 0) break;
  }
  return found;
}

async function orphanedNow(before: readonly string[]): Promise<string[]> {
  const added = () => names(SHARED_MEMORY).filter((name) => !before.includes(name));
  const first = added();
  if (first.length === 0) return [];
  await pause(300);
  const mapped = numbers().map((pid) => read(`/proc/${pid}/maps`)).join("");
  return added().filter((name) => first.includes(name) && !mapped.includes(`${SHARED_MEMORY}/${name}`))
    .map((name) => `${SHARED_MEMORY}/${name}`);
}

/** Memory in use on NVIDIA's devices, in MiB; empty without such. */
function deviceMemory(): string[] {
  try {
    const args = ["--query-gpu=index,memory.used", "--format=csv,noheader,nounits"];
    const { stdout } = new Deno.Command("nvidia-smi", { args, stderr: "null" }).outputSync();
    return new TextDecoder().decode(stdout).trim().split("\n").map((line) => `device memory, MiB: ${line}`);
  } catch {
    return [];
  }
}

/** Answers in a run's journals. */
function answersIn(out: string): number {
  return names(out).filter((name) => name.startsWith("answers."))
    .reduce((sum, name) => sum + Math.max(0, read(`${out}/${name}`).split("\n").length - 2), 0);
}

const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** A run that computes. */
interface Run {
  /** What was started here: every process, or mpirun. */
  readonly children: readonly Deno.ChildProcess[];
  /** Of a rank's process. */
  readonly pid: (rank: number) => number | undefined;
}

function start({ by, processes, program, args, env = {} }: KillOptions, out: string, mark: string): Run {
  const [command, ...words] = program as [string, ...string[]];
  const eval_ = [...words, "eval", "gsm8k", "--data", PROBLEMS, "--max-tokens", "16", "--sequences", "1"];
  const all = [...eval_, "--shard", "none", "--out", out, ...args], io = { stdin: "null", stdout: "null" } as const;
  const spawn = (program: string, args: readonly string[], more: Readonly<Record<string, string>>) =>
    new Deno.Command(program, {
      args: [...args],
      env: { NO_COLOR: "1", [MARK]: mark, ...env, ...more },
      ...io,
      stderr: "piped",
    }).spawn();
  if (by === "mpirun") {
    const ranks = () => marked(`${MARK}=${mark}`);
    const isRank = (pid: number, rank: number) =>
      read(`/proc/${pid}/environ`).split("\0").includes(`OMPI_COMM_WORLD_RANK=${rank}`);
    const child = spawn("mpirun", ["-n", `${processes}`, "--bind-to", "none", command, ...all], {});
    return { children: [child], pid: (rank) => ranks().find((pid) => isRank(pid, rank)) };
  }
  const port = new FreePort();
  const world = { WORLD_SIZE: `${processes}`, LOCAL_WORLD_SIZE: `${processes}`, MASTER_ADDR: "127.0.0.1" };
  const children = Array.from({ length: processes }, (_, rank) =>
    spawn(command, all, {
      ...{ ...world, MASTER_PORT: `${port.number}`, RANK: `${rank}`, LOCAL_RANK: `${rank}` },
      MXOSS_RUN_SECRET: mark,
    }));
  Promise.all(children.map(({ status }) => status)).finally(() => port[Symbol.dispose]());
  return { children, pid: (rank) => children[rank]!.pid };
}

/** Starts a run, kills one of its processes while it computes, and sees what is left. */
export async function killOnce(options: KillOptions): Promise<Killed> {
  const { by, processes, within, random } = options, mark = crypto.randomUUID();
  const memory = deviceMemory(),
    shared = names(SHARED_MEMORY),
    out = await Deno.makeTempDir(),
    problems = read(PROBLEMS).trim().split("\n").length;
  try {
    const run = start(options, `${out}/run`, mark);
    const ended = Promise.all(run.children.map(async (child) => {
      const { code, stderr } = await child.output();
      return { code, ended: performance.now(), stderr: new TextDecoder().decode(stderr) };
    }));
    let over = false;
    ended.then(() => over = true);
    const started = performance.now();
    while (answersIn(`${out}/run`) === 0) {
      if (over) throw new Error(`ended before it answered: ${(await ended).map(({ stderr }) => stderr).join("")}`);
      if (performance.now() - started > PATIENCE_MS) throw new Error("does not answer");
      await pause(20);
    }
    const victim = Math.floor(random() * processes), after = Math.floor(random() * within);
    await pause(after);
    const answers = answersIn(`${out}/run`), pid = over ? undefined : run.pid(victim);
    if (pid === undefined) throw new Error(`nobody was left to kill, of ${answers} answers: give more problems`);
    const all = [...marked(`${MARK}=${mark}`), ...run.children.map(({ pid }) => pid)];
    const identities = new Map(all.map((pid) => [pid, identity(pid)]));
    Deno.kill(pid, "SIGKILL");
    const killed = performance.now(), results = await ended;
    const others = by === "mpirun" ? results : results.filter((_, rank) => rank !== victim);
    let last = Math.max(...others.map(({ ended }) => ended));
    // What mpirun has started may outlive it.
    while (marked(`${MARK}=${mark}`).length > 0 && performance.now() - killed < 2 * LATEST_MS) {
      await pause(20);
      last = performance.now();
    }
    // Zombies among them have no environment any more; whose parent has ended, the system's first process waits for.
    const there = () => [...identities].filter(([pid, own]) => own !== null && identity(pid) === own);
    for (let tries = 0; there().length > 0 && tries < ZOMBIE_TRIES; tries++) await pause(100);
    return {
      ...{ victim, after, answers, problems, milliseconds: Math.round(last - killed) },
      codes: others.map(({ code }) => code),
      lines: others.flatMap(({ stderr }) => stderr.split("\n").filter((line) => /^(internal )?error: /.test(line))),
      left: [
        ...there().map(([pid]) => `process ${read(`/proc/${pid}/stat`).slice(0, 40)}`),
        ...await orphanedMemory(shared),
        ...deviceMemory().filter((line) => !memory.includes(line)),
      ],
    };
  } finally {
    await Deno.remove(out, { recursive: true });
  }
}

/** What is wrong with what a kill led to; empty: nothing. */
export function problemsOf({ answers, problems, milliseconds, codes, lines, left }: Killed, by: KillOptions["by"]) {
  return [
    ...(answers > 0 && answers < problems ? [] : [`it came outside of the work: ${answers} of ${problems} answers`]),
    ...(milliseconds <= LATEST_MS ? [] : [`the others took ${milliseconds} ms`]),
    ...(codes.every((code) => code !== 0) ? [] : [`exit codes ${codes}`]),
    // mpirun ends the others before they can say anything, and says itself what it did.
    ...(lines.length === 1 || (by === "mpirun" && lines.length === 0) ? [] : [`${lines.length} lines`]),
    ...left,
  ];
}

if (import.meta.main) {
  const { values, positionals } = parseArgs({
    options: {
      kills: { type: "string", default: "20" },
      processes: { type: "string", default: "2" },
      by: { type: "string", default: "torchrun" },
      seed: { type: "string", default: "1" },
      within: { type: "string", default: "2000" },
      program: { type: "string", default: "mxoss" },
      out: { type: "string" },
    },
    allowPositionals: true,
  });
  const { kills, processes, within, seed, by } = optionsOrEnd(() => ({
    kills: countOf("--kills", values.kills),
    processes: countOf("--processes", values.processes),
    within: countOf("--within", values.within),
    seed: countOf("--seed", values.seed, 0),
    by: choiceOf("--by", values.by, ["torchrun", "mpirun"]),
  }));
  const draws = new Random(BigInt(seed));
  const options: KillOptions = {
    ...{ by, processes, within },
    ...{ program: values.program.split(" "), args: positionals, random: () => draws.fraction() },
  };
  const all: Killed[] = [];
  let failures = 0;
  for (let kill = 1; kill <= kills; kill++) {
    try {
      const killed = await killOnce(options), wrong = problemsOf(killed, by);
      all.push(killed);
      if (wrong.length > 0) failures++;
      const { victim, after, answers, milliseconds, lines } = killed;
      console.log(
        `${
          wrong.length > 0 ? "FAIL" : "ok  "
        } ${kill}: rank ${victim} of ${options.processes}, ${after} ms after the ` +
          `first answer, ${answers} answers; the others ended after ${milliseconds} ms: ${lines.join(" | ")}` +
          wrong.map((what) => `; ${what}`).join(""),
      );
    } catch (thrown) {
      failures++;
      console.log(`FAIL ${kill}: ${thrown instanceof Error ? thrown.message : thrown}`);
    }
  }
  const times = all.map(({ milliseconds }) => milliseconds);
  console.log(
    `${all.length} kills, ${failures} failures; ms until the others ended: ` +
      (times.length === 0 ? "not known" : `median ${spreadText(spreadOf(times))}, largest ${largest(times)}`),
  );
  if (values.out !== undefined) Deno.writeTextFileSync(values.out, JSON.stringify(all, null, 1));
  Deno.exit(failures > 0 ? 1 : 0);
}
