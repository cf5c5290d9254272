/** Checkpoints to cut: every layout and format, in sizes that few numbers of ranks divide. */
import type { Random } from "./random.ts";
import {
  type Format,
  FORMATS,
  type Layout,
  type QuarkOptions,
  type Shape,
} from "../../src/checkpoint/random/layouts.ts";
import { BLOCK } from "../../src/formats/format.ts";

export interface Case {
  readonly name: string;
  readonly layout: Layout;
  readonly quark: QuarkOptions;
  /** The layout by which the program must find it. */
  readonly found: Layout;
}

/** Every format of experts meets another format of attention, by turns, in each of Quark's ways to name experts. */
export const CASES: readonly Case[] = [
  ...(["hf_mxfp4", "original", "hf_bf16"] as const).map((layout) => ({
    name: layout,
    layout,
    quark: {},
    found: layout,
  })),
  ...(["each", "fused"] as const).flatMap((experts, turn) =>
    FORMATS.map((weights, i): Case => {
      const attention = FORMATS[(i + 1 + 2 * turn) % FORMATS.length]!;
      return {
        name: `quark, experts ${experts === "each" ? "one by one" : "fused"} in ${weights}, attention in ${attention}`,
        layout: "quark",
        quark: { weights, attention, experts, inputScales: true },
        found: "quark",
      };
    })
  ),
  {
    name: "quark, experts in blocks, attention in fp8",
    layout: "quark",
    quark: { experts: "blocks", attention: "fp8", inputScales: true },
    found: "quark",
  },
];

const isMx = (format: Format) => format.startsWith("mx");

/** Formats of experts and attention. */
export function formatsOf({ layout, quark }: Case): { experts: Format; attention: Format } {
  if (layout === "quark") return { experts: quark.weights ?? "mxfp4", attention: quark.attention ?? "bf16" };
  return { experts: layout === "hf_bf16" ? "bf16" : "mxfp4", attention: "bf16" };
}

/**
 * Sizes of which few divide by the ranks.
 *
 * @param large As many blocks of intermediate columns as give each of eight ranks some, and the last one fewer, as 2880
 *   columns do; else so few that ranks are left without.
 */
export function randomShape(
  random: Random,
  { experts, attention }: { experts: Format; attention: Format },
  large: boolean,
): Shape {
  const kvHeads = 1 + random.below(5);
  const blocks = large ? 15 : 1 + random.below(7);
  const mxHidden = isMx(experts) || isMx(attention);
  return {
    layers: large ? 1 : 2,
    hidden: large ? BLOCK : mxHidden ? BLOCK * (1 + random.below(2)) : 33 + random.below(31),
    // Formats without blocks may end anywhere, but are cut in blocks too.
    intermediate: BLOCK * blocks - (isMx(experts) ? 0 : random.below(BLOCK)),
    experts: 4 + random.below(4),
    topK: 1 + random.below(4),
    heads: kvHeads * (Math.ceil(8 / kvHeads) + random.below(2)),
    kvHeads,
    headDim: isMx(attention) ? BLOCK : 2 * (1 + random.below(8)),
    vocab: large ? 449 + random.below(63) : 1 + random.below(200),
    window: 4,
  };
}
