/** The functions of libnccl and librccl that are called, which have the same names and C parameters in both. */

/** `ncclUniqueId`, 128 bytes, which is passed by value. */
export const UNIQUE_ID_BYTES = 128;

/**
 * All functions that are called. `ncclResult_t`, `ncclDataType_t` and `ncclRedOp_t` are ints, `ncclComm_t` and streams
 * 64-bit numbers; counts are of elements.
 */
export const COLLECTIVES_SYMBOLS = {
  ncclGetVersion: { parameters: [/* int *version */ "buffer"], result: "i32" },
  ncclGetErrorString: { parameters: [/* ncclResult_t */ "i32"], result: /* const char * */ "pointer" },
  // NCCL 2.13 and later.
  ncclGetLastError: {
    parameters: [/* ncclComm_t or null */ "u64"],
    result: /* const char * */ "pointer",
    optional: true,
  },
  ncclGetUniqueId: { parameters: [/* ncclUniqueId * */ "buffer"], result: "i32" },
  ncclCommInitRank: {
    parameters: [
      /* ncclComm_t * */ "buffer",
      /* int nranks */ "i32",
      /* ncclUniqueId */ { struct: Array.from({ length: UNIQUE_ID_BYTES / 8 }, () => "u64" as const) },
      /* int rank */ "i32",
    ],
    result: "i32",
  },
  ncclCommDestroy: { parameters: [/* ncclComm_t */ "u64"], result: "i32" },
  ncclCommAbort: { parameters: [/* ncclComm_t */ "u64"], result: "i32" },
  ncclCommGetAsyncError: { parameters: [/* ncclComm_t */ "u64", /* ncclResult_t * */ "buffer"], result: "i32" },
  ncclGroupStart: { parameters: [], result: "i32" },
  ncclGroupEnd: { parameters: [], result: "i32" },
  ncclAllGather: {
    parameters: [
      /* const void *source */ "u64",
      /* void *target */ "u64",
      /* size_t count, of one rank */ "u64",
      /* ncclDataType_t */ "i32",
      /* ncclComm_t */ "u64",
      /* stream */ "u64",
    ],
    result: "i32",
  },
} as const satisfies Deno.ForeignLibraryInterface;
