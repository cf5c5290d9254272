/** Runs jobs on the committed AMD code objects, on an ISA emulator (tools/amd_isa.py). */
import type { Manifest } from "../../kernels/manifest.ts";
import {
  type Argument,
  buffersOf,
  type DeviceBuffer,
  type Job,
  launchesOf,
  ldsOfJob,
  type Machine,
} from "../../src/verify/cases/job.ts";

const ROOT = new URL("../../", import.meta.url);

/** Architectures that the emulator knows. */
export const ISA_ARCHITECTURES = ["gfx90a", "gfx1100", "gfx1151", "gfx1201", "gfx942", "gfx950"] as const;

/** What a launch came to. */
export interface IsaOutcome {
  readonly seconds?: number;
  readonly error?: string;
}

/** The emulator for one architecture. */
export class IsaMachine implements Machine {
  /** Of the jobs of the last run, in order. */
  outcomes: IsaOutcome[] = [];

  /** @param tinygrad Path of the checkout. */
  constructor(readonly name: string, readonly tinygrad: string, readonly manifest: Manifest) {}

  async run(jobs: readonly Job[]): Promise<void> {
    const folder = await Deno.makeTempDir({ prefix: "mxoss-isa-" });
    try {
      const memory: Uint8Array[] = [], offsets = new Map<DeviceBuffer, number>();
      const launches = jobs.map((job) => [...launchesOf(job)]), all = launches.flat();
      let end = 0;
      for (const buffer of all.flatMap(buffersOf)) {
        if (offsets.has(buffer)) continue;
        offsets.set(buffer, end);
        memory.push(buffer.bytes);
        end += buffer.bytes.length;
      }
      await Deno.writeFile(`${folder}/memory`, new Uint8Array(await new Blob(memory as BlobPart[]).arrayBuffer()));
      await Deno.writeTextFile(`${folder}/jobs`, JSON.stringify(all.map((job) => this.#describe(job, offsets))));
      const { stdout, stderr } = await new Deno.Command("python3", {
        args: [
          "tools/amd_isa.py",
          "--tinygrad",
          this.tinygrad,
          "--arch",
          this.name,
          `${folder}/jobs`,
          `${folder}/memory`,
        ],
        cwd: ROOT,
        env: { CC: "clang-22", CACHELEVEL: "2" },
      }).output();
      const lines = new TextDecoder().decode(stdout).trim().split("\n").filter((line) => line !== "");
      const outcomes = lines.map((line) => JSON.parse(line) as IsaOutcome);
      // A kernel that touches memory that is not its own ends the process.
      const why = new TextDecoder().decode(stderr).trim().split("\n").at(-1) || "the emulator's process died";
      while (outcomes.length < all.length) outcomes.push({ error: why });
      // Of several launches, the first that failed.
      this.outcomes = launches.map(({ length }) => {
        const own = outcomes.splice(0, length);
        return own.find(({ error }) => error !== undefined) ?? own[0]!;
      });
      const after = await Deno.readFile(`${folder}/memory`);
      for (const [buffer, offset] of offsets) {
        if (!buffer.constant) buffer.bytes.set(after.subarray(offset, offset + buffer.bytes.length));
      }
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  }

  #describe(job: Job, offsets: ReadonlyMap<DeviceBuffer, number>) {
    const { entries } = this.manifest.architectures[this.name]!, entry = entries[job.entry];
    if (!entry) throw new Error(`${job.entry}: not compiled for ${this.name}`);
    const buffers = buffersOf(job), index = (to: DeviceBuffer | null) => to ? buffers.indexOf(to) : -1;
    const pointers = (all: readonly { readonly offset: number; readonly to: DeviceBuffer }[]) =>
      all.map(({ offset, to }) => ({ at: offset, buffer: index(to) }));
    return {
      object: new URL(`kernels/build/${this.name}/${entry.file}`, ROOT).pathname,
      kernel: job.entry,
      grid: job.grid,
      threads: job.threads,
      lds: ldsOfJob(job, entry),
      buffers: buffers.map((b) => ({ at: offsets.get(b)!, size: b.bytes.length, pointers: pointers(b.pointers) })),
      args: job.arguments.map((a: Argument) => {
        if (a.kind === "struct") {
          return {
            struct: Array.from(a.bytes, (b) => b.toString(16).padStart(2, "0")).join(""),
            pointers: pointers(a.pointers),
          };
        }
        return a.kind === "pointer" ? { buffer: index(a.to) } : { [a.kind]: a.value };
      }),
    };
  }
}
