/** Processes that MPI started, which reach each other by it. */
import { Mpi, type MpiAbi, type MpiLibrary } from "../../ffi/mpi.ts";
import { InputError } from "../errors.ts";
import type { Link, LinkListener } from "./link.ts";
import type { World } from "./world.ts";

/** Tag of all messages. */
const TAG = 1;
/** Looks for messages that follow at once after the last one came, and milliseconds between later looks. */
const EAGER_LOOKS = 200, LAZY_MS = 2;

/** Libraries that a starter may have built its processes on, in the order in which they are looked for. */
const ABIS: Readonly<Record<World["source"], readonly MpiAbi[]>> = {
  "Open MPI": ["openmpi"],
  "MPI": ["mpich", "openmpi"],
  "Slurm": ["openmpi", "mpich"],
  "torchrun": ["openmpi", "mpich"],
};

/** This process's end. */
export class MpiLink implements Link {
  #ended = false;

  private constructor(readonly library: Mpi) {}

  /**
   * Joins the processes that were started together.
   *
   * @throws {GpuLibraryError} if MPI's library cannot be opened.
   * @throws {InputError} if MPI takes this process for another one than its starter does.
   */
  static join(world: World): MpiLink {
    const mpi = Mpi.start(ABIS[world.source]);
    if (mpi.rank === world.rank && mpi.size === world.size) return new MpiLink(mpi);
    throw InputError.saying(
      "contradiction",
      { file: mpi.library.path },
      `says that this is process ${mpi.rank} of ${mpi.size}, ${world.source} that it is ${world.rank} of ` +
        `${world.size}: processes of this library are started by its mpirun, or by srun if it speaks the same PMI`,
    );
  }

  get rank(): number {
    return this.library.rank;
  }

  get size(): number {
    return this.library.size;
  }

  get mpi(): MpiLibrary {
    return this.library.library;
  }

  send(to: number, bytes: Uint8Array<ArrayBuffer>): void {
    this.library.send(to, TAG, bytes);
  }

  /** Looks for messages until the link ends; that a process is no more is not heard: MPI ends all then. */
  listen(listener: LinkListener): void {
    const others = this.rank === 0 ? Array.from({ length: this.size - 1 }, (_, i) => i + 1) : [0];
    const look = (looks: number) => {
      let found = false;
      for (const process of others) {
        for (let bytes = this.#receive(process); bytes !== null; bytes = this.#receive(process)) {
          found = true;
          listener.heard(process, bytes);
        }
      }
      if (!this.#ended) setTimeout(look, looks < EAGER_LOOKS ? 0 : LAZY_MS, found ? 1 : looks + 1);
    };
    look(1);
  }

  #receive(process: number): Uint8Array<ArrayBuffer> | null {
    return this.#ended ? null : this.library.receive(process, TAG);
  }

  end(code: number): Promise<void> {
    this.#ended = true;
    if (code === 0) this.library.finalize();
    else this.library.abort(code);
    return Promise.resolve();
  }
}
