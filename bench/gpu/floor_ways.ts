/** The ways in which floor.hip reads. */
import { STEP_SHARED_PERCENT } from "../../src/backends/gpu/calls.ts";

/** One way: a kernel and its launch. */
export interface Way {
  readonly name: string;
  readonly entry: string;
  readonly threads: number;
  /** Blocks a multiprocessor. */
  readonly blocks: number;
  /** Dynamic shared memory of a block, in bytes. */
  readonly lds: number;
  /** How much of L1 all kernels of the chain want as shared memory. */
  readonly percent: typeof STEP_SHARED_PERCENT | 100;
  /** Of bulk copies: bytes of one, how many are under way, and whether blocks take every so many-th. */
  readonly chunk: number;
  readonly places: number;
  readonly strides: boolean;
}

/** What {@linkcode STEP_SHARED_PERCENT} of L1 is, and what every block needs besides, in bytes. */
const DIVIDED_ALIKE = 132 * 1024, RESERVED = 1024;
const NO_COPIES = { chunk: 16, places: 1, strides: false };

/** Threads of a block, loads under way, and blocks a multiprocessor. */
const REGISTERS:
  readonly (readonly [kind: "all" | "each", threads: number, loads: number, blocks: readonly number[]])[] = [
    ["all", 256, 2, [4, 8]],
    ["all", 256, 4, [2, 4, 8]],
    ["all", 256, 8, [1, 2, 4]],
    ["all", 256, 12, [1, 2]],
    ["all", 512, 2, [2, 4]],
    ["all", 512, 4, [1, 2, 4]],
    ["all", 512, 8, [1, 2]],
    ["all", 512, 12, [1]],
    ["all", 1024, 2, [1, 2]],
    ["all", 1024, 4, [1, 2]],
    ["all", 1024, 8, [1]],
    ["each", 256, 4, [2, 4]],
    ["each", 512, 4, [1, 2]],
    ["each", 512, 8, [1]],
    ["each", 1024, 4, [1]],
  ];
const COPIES = [[256, 8], [512, 4], [512, 6], [512, 12], [1024, 4], [1024, 6]] as const;
const CHUNKS = [1440, 2880, 5760, 11520, 23040, 46080], LDS = [48, 64, 96, 120, 160, 200, 224], MOST_PLACES = 32;

/** All of them, for a block that may have so much shared memory. */
export function ways(most: number): Way[] {
  const percent = (lds: number, blocks: number): Way["percent"] =>
    (lds + RESERVED) * blocks <= DIVIDED_ALIKE ? STEP_SHARED_PERCENT : 100;
  const registers = REGISTERS.flatMap(([kind, threads, loads, each]) =>
    each.map((blocks): Way => ({
      name: `registers, ${loads} ${kind === "all" ? "at once" : "in turn"}, ${blocks} x ${threads}`,
      entry: `floor_${kind}_${threads}_${loads}`,
      ...{ threads, blocks, lds: 0, percent: STEP_SHARED_PERCENT, ...NO_COPIES },
    }))
  );
  const copies = COPIES.flatMap(([threads, steps]) =>
    [1, 2].map((blocks): Way => {
      const lds = threads * steps * 16;
      return {
        name: `cp.async, ${steps} steps, ${blocks} x ${threads}`,
        entry: `floor_copy_${threads}_${steps}`,
        ...{ threads, blocks, lds, percent: percent(lds, blocks), ...NO_COPIES },
      };
    })
  );
  const bulk = CHUNKS.flatMap((chunk) =>
    LDS.flatMap((kilobytes) =>
      [1, 2, 4].flatMap((blocks) =>
        [false, true].flatMap((strides): Way[] => {
          const places = Math.min(MOST_PLACES, Math.floor(kilobytes * 1024 / blocks / chunk)), lds = places * chunk;
          // Where places are too few or too many for the room, another line has them.
          if (places < 2 || lds > most || lds < 0.8 * kilobytes * 1024 / blocks) return [];
          if (strides && chunk < 11520) return [];
          return [{
            name: `bulk, ${places} of ${chunk} bytes, ${blocks} a multiprocessor${strides ? ", every so many-th" : ""}`,
            ...{ entry: "floor_bulk", threads: 32, blocks, lds, percent: percent(lds, blocks), chunk, places, strides },
          }];
        })
      )
    )
  );
  // Larger rooms have the most copies that there are marks for, too.
  const byName = new Map([...registers, ...copies, ...bulk].map((way) => [way.name, way]));
  return [...byName.values()];
}
