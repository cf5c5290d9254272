/** Runs quantize() as the command does, without a command line. */
import { type Checkpoint, openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import type { KvScales } from "../../src/checkpoint/source.ts";
import { planModel } from "../../src/plan/planned.ts";
import { Sources } from "../../src/quantize/hashes.ts";
import { Journal } from "../../src/quantize/journal.ts";
import { quantize } from "../../src/quantize/quantize.ts";
import type { Watch, Written } from "../../src/quantize/write_shards.ts";
import { type InputScales, planTargets, type Recipe, type TargetScheme } from "../../src/quantize/targets.ts";

/** What tests vary. */
export interface RunOptions {
  readonly layers?: Recipe["layers"];
  readonly attention?: TargetScheme;
  readonly scales?: InputScales;
  readonly kvScales?: readonly KvScales[];
  readonly shardBytes?: number;
  readonly watch?: Watch;
}

/** Quantizes a checkpoint into a directory. */
export async function run(
  from: Checkpoint | string,
  to: string,
  scheme: TargetScheme,
  options: RunOptions = {},
): Promise<Written | null> {
  const checkpoint = typeof from === "string" ? openCheckpoint(from) : from;
  const { plan } = planModel(checkpoint, { dtype: "bf16", kvCacheDtype: "auto" });
  const recipe: Recipe = { scheme, layers: options.layers ?? [], attention: options.attention ?? null };
  const targets = planTargets(recipe, checkpoint.source, checkpoint.config, plan, options.scales ?? null);
  const sources = (await Sources.read(checkpoint.source.files))!;
  using journal = Journal.open(to, { settings: JSON.stringify([scheme, options.shardBytes]), sources });
  const { kvScales = null, shardBytes = 5e9 } = options;
  return await quantize({ checkpoint, sources, targets, kvScales, shardBytes }, journal, options.watch);
}

/** An input scale for every linear that may want one: 0.5 plus something that differs from module to module. */
export function someScales({ source }: Checkpoint): Map<string, number> {
  const linears = source.tree.layers.flatMap(({ q, k, v, o, gateUp, down }) => [q, k, v, o, ...gateUp, ...down]);
  return new Map(linears.map(({ module }, i) => [module!, Math.fround(0.5 + (i * 7 % 11) / 64)]));
}
