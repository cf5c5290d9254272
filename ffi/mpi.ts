/**
 * MPI, as far as ranks in several processes need it: bytes from one process to another, and gathering. Called through
 * libmpi, whatever made it: handles are addresses in Open MPI and numbers in everything that keeps MPICH's ABI.
 */
import { FailureError, InputError } from "../src/errors.ts";
import { openLibrary } from "./library.ts";

/** How a library spells MPI's handles. */
export type MpiAbi = "openmpi" | "mpich";

/** A library that was found, for threads to open it again. */
export interface MpiLibrary {
  readonly abi: MpiAbi;
  readonly path: string;
}

/** Names of the libraries, in the order in which they are tried. */
const NAMES: Readonly<Record<MpiAbi, readonly string[]>> = {
  openmpi: ["libmpi.so.40", "libmpi.40.dylib"],
  mpich: ["libmpich.so.12", "libmpi.so.12"],
};

/** `MPI_THREAD_MULTIPLE` of both: ranks sum on threads of their own, while this one waits for messages. */
const MULTIPLE = 3;
/** `MPI_IN_PLACE`. */
const IN_PLACE = { openmpi: 1n, mpich: 0xffff_ffff_ffff_ffffn } as const;
/** Handles of MPICH's ABI: `MPI_COMM_WORLD`, `MPI_BYTE`, `MPI_FLOAT`. */
const MPICH = { world: 0x44000000, byte: 0x4c00010d, float: 0x4c00040a } as const;
/** Bytes of an MPI_Status, or more. */
const STATUS_BYTES = 64;
/** Most bytes of one message, whose length is a C int. */
const MOST_BYTES = 2 ** 30;

/** Prototypes with handles of type `H`; others are those of mpi.h. */
function symbols<const H extends "pointer" | "i32">(handle: H) {
  return {
    // int MPI_Init_thread(int *argc, char ***argv, int required, int *provided)
    MPI_Init_thread: { parameters: ["pointer", "pointer", "i32", "buffer"], result: "i32" },
    // int MPI_Comm_rank(MPI_Comm comm, int *rank)
    MPI_Comm_rank: { parameters: [handle, "buffer"], result: "i32" },
    // int MPI_Comm_size(MPI_Comm comm, int *size)
    MPI_Comm_size: { parameters: [handle, "buffer"], result: "i32" },
    // int MPI_Comm_dup(MPI_Comm comm, MPI_Comm *newcomm)
    MPI_Comm_dup: { parameters: [handle, "buffer"], result: "i32" },
    // int MPI_Send(const void *buf, int count, MPI_Datatype type, int dest, int tag, MPI_Comm comm)
    MPI_Send: { parameters: ["buffer", "i32", handle, "i32", "i32", handle], result: "i32" },
    // int MPI_Iprobe(int source, int tag, MPI_Comm comm, int *flag, MPI_Status *status)
    MPI_Iprobe: { parameters: ["i32", "i32", handle, "buffer", "buffer"], result: "i32" },
    // int MPI_Get_count(const MPI_Status *status, MPI_Datatype type, int *count)
    MPI_Get_count: { parameters: ["buffer", handle, "buffer"], result: "i32" },
    // int MPI_Recv(void *buf, int count, MPI_Datatype type, int source, int tag, MPI_Comm comm, MPI_Status *status)
    MPI_Recv: { parameters: ["buffer", "i32", handle, "i32", "i32", handle, "buffer"], result: "i32" },
    // int MPI_Allgather(const void *send, int count, MPI_Datatype type, void *recv, int count, MPI_Datatype, MPI_Comm)
    MPI_Allgather: { parameters: ["pointer", "i32", handle, "buffer", "i32", handle, handle], result: "i32" },
    // int MPI_Finalize(void)
    MPI_Finalize: { parameters: [], result: "i32" },
    // int MPI_Abort(MPI_Comm comm, int errorcode)
    MPI_Abort: { parameters: [handle, "i32"], result: "i32" },
  } as const;
}

const OPEN_MPI_SYMBOLS = {
  ...symbols("pointer"),
  ompi_mpi_comm_world: { type: "pointer" },
  ompi_mpi_byte: { type: "pointer" },
  ompi_mpi_float: { type: "pointer" },
} as const;
const MPICH_SYMBOLS = symbols("i32");

type Handle = Deno.PointerValue | number;
/** The functions of either library; which kind of handle goes with which is this module's affair. */
type Functions = {
  readonly [K in keyof typeof MPICH_SYMBOLS]: (...given: (Handle | bigint | BufferSource | null)[]) => number;
};

/** The library with its predefined handles. */
interface Opened {
  readonly library: MpiLibrary;
  readonly call: Functions;
  readonly world: Handle;
  readonly byte: Handle;
  readonly float: Handle;
}

/** Opens a library of one ABI. */
function open(abi: MpiAbi, candidates: readonly string[]): Opened {
  const request = {
    title: "libmpi (MPI)",
    candidates,
    advice: "install the library of the MPI that started the processes",
    needs: "MPI 2 or newer",
  };
  if (abi === "openmpi") {
    const { library: { symbols }, path } = openLibrary({ ...request, symbols: OPEN_MPI_SYMBOLS });
    const { ompi_mpi_comm_world: world, ompi_mpi_byte: byte, ompi_mpi_float: float, ...call } = symbols;
    return { library: { abi, path }, call: call as unknown as Functions, world, byte, float };
  }
  const { library: { symbols }, path } = openLibrary({ ...request, symbols: MPICH_SYMBOLS });
  return { library: { abi, path }, call: symbols as unknown as Functions, ...MPICH };
}

/** A group of processes that gather values together, apart from all other groups. */
export class MpiGroup {
  readonly #opened: Opened;
  readonly #communicator: Handle;

  private constructor(opened: Opened, communicator: Handle) {
    this.#opened = opened;
    this.#communicator = communicator;
  }

  /** Makes a group of all processes, each of which must do so; on any thread. MPI is initialized. */
  static make({ abi, path }: MpiLibrary): MpiGroup {
    const opened = open(abi, [path]), made = new BigInt64Array(1);
    check("MPI_Comm_dup", opened.call.MPI_Comm_dup(opened.world, made));
    const handle = abi === "openmpi"
      ? Deno.UnsafePointer.create(BigInt.asUintN(64, made[0]!))
      : new Int32Array(made.buffer)[0]!;
    return new MpiGroup(opened, handle);
  }

  /**
   * Gathers in place: `values` is a stretch of `each` values for every process, in their order; each process gives its
   * own stretch and receives all others.
   */
  allGather(values: Float32Array<ArrayBufferLike>, each: number): void {
    const { library, call, float } = this.#opened;
    const own = Deno.UnsafePointer.create(IN_PLACE[library.abi]);
    const given = [own, each, float, values as Float32Array<ArrayBuffer>, each, float, this.#communicator] as const;
    check("MPI_Allgather", call.MPI_Allgather(...given));
  }
}

/** This process among those that MPI started together. */
export class Mpi {
  readonly #opened: Opened;
  readonly rank: number;
  readonly size: number;

  private constructor(opened: Opened) {
    this.#opened = opened;
    const { call, world } = opened, number = new Int32Array(1);
    check("MPI_Comm_rank", call.MPI_Comm_rank(world, number));
    this.rank = number[0]!;
    check("MPI_Comm_size", call.MPI_Comm_size(world, number));
    this.size = number[0]!;
  }

  /**
   * Initializes MPI.
   *
   * @param abis Kinds of libraries, in the order in which they are looked for.
   * @throws {GpuLibraryError} if no such library can be opened.
   * @throws {InputError} if it cannot be called from several threads.
   */
  static start(abis: readonly MpiAbi[]): Mpi {
    const opened = first(abis), provided = new Int32Array(1);
    check("MPI_Init_thread", opened.call.MPI_Init_thread(null, null, MULTIPLE, provided));
    if (provided[0]! >= MULTIPLE) return new Mpi(opened);
    const where = { file: opened.library.path };
    throw InputError.of("unsupported", where, `MPI with threads (MPI_THREAD_MULTIPLE, ${MULTIPLE})`, provided[0]!);
  }

  get library(): MpiLibrary {
    return this.#opened.library;
  }

  /** Sends bytes; waits until they are on their way. */
  send(to: number, tag: number, bytes: Uint8Array<ArrayBuffer>): void {
    if (bytes.length > MOST_BYTES) throw new RangeError(`${bytes.length} bytes in one message`);
    const { call, byte, world } = this.#opened;
    check("MPI_Send", call.MPI_Send(bytes, bytes.length, byte, to, tag, world));
  }

  /** Bytes that have come from a process; null where there are none yet. */
  receive(from: number, tag: number): Uint8Array<ArrayBuffer> | null {
    const { call, byte, world } = this.#opened, found = new Int32Array(1), status = new Uint8Array(STATUS_BYTES);
    check("MPI_Iprobe", call.MPI_Iprobe(from, tag, world, found, status));
    if (found[0] === 0) return null;
    check("MPI_Get_count", call.MPI_Get_count(status, byte, found));
    const bytes = new Uint8Array(found[0]!);
    check("MPI_Recv", call.MPI_Recv(bytes, bytes.length, byte, from, tag, world, status));
    return bytes;
  }

  /** Ends MPI; waits for all processes to do so. */
  finalize(): void {
    check("MPI_Finalize", this.#opened.call.MPI_Finalize());
  }

  /** Ends all processes at once, this one included. */
  abort(code: number): void {
    const { call, world } = this.#opened;
    call.MPI_Abort(world, code);
  }
}

function first([abi, ...others]: readonly MpiAbi[]): Opened {
  try {
    return open(abi!, NAMES[abi!]);
  } catch (thrown) {
    if (others.length === 0) throw thrown;
    return first(others);
  }
}

/** By default MPI ends all processes where a call fails; this is for those that were told otherwise. */
function check(name: string, code: number): void {
  if (code !== 0) throw new FailureError(`${name} failed with code ${code}`);
}
