/** What figures are measured on. */
import { withSystemFiles } from "../system_files.ts";

/** A machine as results name it. */
export interface MachineFacts {
  /** Model of the processor; null where the system does not say. */
  readonly processor: string | null;
  /** Threads of the processor that this process may use. */
  readonly threads: number;
  readonly memory_bytes: number | null;
  /** Processes that ran or waited for a processor in the last minute, on average, as the figures began. */
  readonly load: number | null;
  /** For instance `linux x86_64`. */
  readonly system: string;
  readonly deno: string;
}

/** The machine now. */
export function machineFacts(): MachineFacts {
  const said: Record<"processor" | "memory" | "load", string | undefined> = {
    processor: undefined,
    memory: undefined,
    load: undefined,
  };
  withSystemFiles((read) => {
    const first = (path: string, pattern: RegExp) => pattern.exec(read(path) ?? "")?.[1];
    said.processor = first("/proc/cpuinfo", /^model name\s*:\s*(.+)$/m);
    said.memory = first("/proc/meminfo", /^MemTotal:\s+(\d+) kB$/m);
    said.load = first("/proc/loadavg", /^(\S+)/);
  });
  const { processor = null, memory, load } = said;
  return {
    processor,
    threads: navigator.hardwareConcurrency,
    memory_bytes: memory === undefined ? null : 1024 * Number(memory),
    load: load === undefined ? null : Number(load),
    system: `${Deno.build.os} ${Deno.build.arch}`,
    deno: Deno.version.deno,
  };
}
