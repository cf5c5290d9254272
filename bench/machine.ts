/** What a figure was measured on. */

/** One line: processor, threads, memory, system and Deno's version. */
export function machine(): string {
  const { total } = Deno.systemMemoryInfo();
  return [
    processor(),
    `${navigator.hardwareConcurrency} threads`,
    `${Math.round(total / 2 ** 30)} GiB`,
    `${Deno.build.os} ${Deno.build.arch}`,
    `Deno ${Deno.version.deno}`,
  ].join(", ");
}

function processor(): string {
  try {
    return /^model name\s*:\s*(.+)$/m.exec(Deno.readTextFileSync("/proc/cpuinfo"))?.[1] ?? "unknown processor";
  } catch {
    return "unknown processor";
  }
}
