/**
 * The functions that libamdhip64 and libcuda both have, under names of their own and with the same C parameters. All
 * return an int, 0 for success. Handles and device addresses are 64-bit numbers, a device is an int.
 */
const SHARED_CALLS = {
  init: { parameters: [/* unsigned flags */ "u32"], result: "i32" },
  version: { parameters: [/* int *version */ "buffer"], result: "i32" },
  deviceCount: { parameters: [/* int *count */ "buffer"], result: "i32" },
  deviceName: {
    parameters: [/* char *name */ "buffer", /* int length */ "i32", /* device */ "i32"],
    result: "i32",
  },
  totalMemory: { parameters: [/* size_t *bytes */ "buffer", /* device */ "i32"], result: "i32" },
  attribute: {
    parameters: [/* int *value */ "buffer", /* enum attribute */ "i32", /* device */ "i32"],
    result: "i32",
  },
  synchronize: { parameters: [], result: "i32" },
  memory: { parameters: [/* size_t *free */ "buffer", /* size_t *total */ "buffer"], result: "i32" },
  allocate: { parameters: [/* void **address */ "buffer", /* size_t bytes */ "u64"], result: "i32" },
  free: { parameters: [/* void *address */ "u64"], result: "i32" },
  allocateHost: {
    parameters: [/* void **address */ "buffer", /* size_t bytes */ "u64", /* unsigned flags */ "u32"],
    result: "i32",
  },
  freeHost: { parameters: [/* void *address */ "u64"], result: "i32" },
  createStream: { parameters: [/* stream * */ "buffer", /* unsigned flags */ "u32"], result: "i32" },
  destroyStream: { parameters: [/* stream */ "u64"], result: "i32" },
  synchronizeStream: { parameters: [/* stream */ "u64"], result: "i32" },
  waitEvent: { parameters: [/* stream */ "u64", /* event */ "u64", /* unsigned flags */ "u32"], result: "i32" },
  createEvent: { parameters: [/* event * */ "buffer", /* unsigned flags */ "u32"], result: "i32" },
  destroyEvent: { parameters: [/* event */ "u64"], result: "i32" },
  recordEvent: { parameters: [/* event */ "u64", /* stream */ "u64"], result: "i32" },
  synchronizeEvent: { parameters: [/* event */ "u64"], result: "i32" },
  queryEvent: { parameters: [/* event */ "u64"], result: "i32" },
  elapsedTime: {
    parameters: [/* float *milliseconds */ "buffer", /* event start */ "u64", /* event end */ "u64"],
    result: "i32",
  },
  unloadModule: { parameters: [/* module */ "u64"], result: "i32" },
  function: {
    parameters: [/* function * */ "buffer", /* module */ "u64", /* const char *name */ "buffer"],
    result: "i32",
  },
  launch: {
    parameters: [
      /* function */ "u64",
      /* unsigned gridDimX, gridDimY, gridDimZ (blocks) */ "u32",
      "u32",
      "u32",
      /* unsigned blockDimX, blockDimY, blockDimZ (threads) */ "u32",
      "u32",
      "u32",
      /* unsigned sharedMemBytes */ "u32",
      /* stream */ "u64",
      /* void **kernelParams */ "buffer",
      /* void **extra */ "u64",
    ],
    result: "i32",
  },
  beginCapture: { parameters: [/* stream */ "u64", /* enum mode */ "i32"], result: "i32" },
  endCapture: { parameters: [/* stream */ "u64", /* graph * */ "buffer"], result: "i32" },
  launchGraph: { parameters: [/* executable graph */ "u64", /* stream */ "u64"], result: "i32" },
  destroyGraph: { parameters: [/* graph */ "u64"], result: "i32" },
  destroyExecutable: { parameters: [/* executable graph */ "u64"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

/** One of {@linkcode SHARED_CALLS}. */
export type SharedCall = keyof typeof SHARED_CALLS;

/** What a library calls each of them. */
export type SharedNames = Readonly<Record<SharedCall, string>>;

/** The shared functions of an opened library. */
export type SharedFunctions = Deno.DynamicLibrary<typeof SHARED_CALLS>["symbols"];

type Named = { readonly [K in SharedCall]: (typeof SHARED_CALLS)[K] & { readonly name: string } };

/** The shared functions under a library's names, for `Deno.dlopen`. */
export function sharedSymbols(names: SharedNames): Named {
  const calls = Object.entries(SHARED_CALLS) as [SharedCall, (typeof SHARED_CALLS)[SharedCall]][];
  return Object.fromEntries(calls.map(([call, signature]) => [call, { ...signature, name: names[call] }])) as Named;
}

/** The C names of all functions of a symbol table, for tests. */
export function namesOf(symbols: Deno.ForeignLibraryInterface): string[] {
  return Object.entries(symbols).map(([key, symbol]) => "name" in symbol ? symbol.name ?? key : key);
}
