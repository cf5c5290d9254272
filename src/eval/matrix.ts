/** The settings that one evaluation runs through. */
import { snapshotOf } from "../checkpoint/hub/repository.ts";

/** One setting of the matrix. */
export interface Cell {
  /** What its model is called beside the others; null where there is one model only. */
  readonly model: string | null;
  /** Name of a quantization scheme; null: as the checkpoint is. */
  readonly scheme: string | null;
  readonly kvCacheDtype: "auto" | "bf16" | "fp8";
  readonly tp: number;
  readonly ep: number;
}

/** The axes of the matrix, each with at least one entry. */
export interface Axes {
  readonly models: readonly (string | null)[];
  readonly schemes: readonly (string | null)[];
  readonly kvCacheDtypes: readonly Cell["kvCacheDtype"][];
  readonly tps: readonly number[];
  readonly eps: readonly number[];
}

/** Every combination; the first entry of every axis makes the first cell, which the others are compared with. */
export function cellsOf({ models, schemes, kvCacheDtypes, tps, eps }: Axes): Cell[] {
  return models.flatMap((model) =>
    schemes.flatMap((scheme) =>
      kvCacheDtypes.flatMap((kvCacheDtype) =>
        tps.flatMap((tp) => eps.map((ep): Cell => ({ model, scheme, kvCacheDtype, tp, ep })))
      )
    )
  );
}

/**
 * What models are called beside each other: the last parts of their directories, or of their names on the Hub, numbered
 * where two have the same; null for one alone.
 */
export function modelNames(directories: readonly string[]): (string | null)[] {
  if (directories.length === 1) return [null];
  const names: string[] = [];
  for (const directory of directories) {
    const called = snapshotOf(directory)?.repository ?? directory;
    const last = called.split(/[/\\]/).findLast((part) => /[\w]/.test(part)) ?? "model";
    const name = last.replaceAll(/[^\w.-]/g, "_");
    let count = 1;
    while (names.includes(count === 1 ? name : `${name}-${count}`)) count++;
    names.push(count === 1 ? name : `${name}-${count}`);
  }
  return names;
}

/** A cell's name in files and results, for instance `w_mxfp4_a_fp8.kv-bf16.tp2`. */
export function cellKey({ model, scheme, kvCacheDtype, tp, ep }: Cell): string {
  const others = `${ep === 1 ? "" : `.ep${ep}`}${model === null ? "" : `.model-${model}`}`;
  return `${scheme ?? "as-stored"}.kv-${kvCacheDtype}.tp${tp}${others}`;
}

/** What a cell is called beside the others, part by part; null is what all of them have in common. */
export interface CellName {
  readonly model: string | null;
  readonly scheme: string | null;
  readonly kvCacheDtype: Cell["kvCacheDtype"] | null;
  readonly tp: number | null;
  readonly ep: number | null;
}

/**
 * The name of a cell: only what differs among the cells is said.
 *
 * @param schemeName Name of a cell's scheme for people, also where none was asked for.
 */
export function cellName(cell: Cell, among: readonly Cell[], schemeName: (cell: Cell) => string): CellName {
  const differs = (pick: (c: Cell) => unknown) => new Set(among.map(pick)).size > 1;
  return {
    model: differs((c) => c.model) ? cell.model : null,
    scheme: differs((c) => c.scheme) || differs(schemeName) || among.length === 1 ? schemeName(cell) : null,
    kvCacheDtype: differs((c) => c.kvCacheDtype) ? cell.kvCacheDtype : null,
    tp: differs((c) => c.tp) ? cell.tp : null,
    ep: differs((c) => c.ep) ? cell.ep : null,
  };
}

/** A name, or some parts of one, in words, for instance `w_mxfp4, kv fp8, tp 2`. */
export function cellLabel({ model, scheme, kvCacheDtype, tp, ep }: Partial<CellName>): string {
  return [
    ...(model == null ? [] : [model]),
    ...(scheme == null ? [] : [scheme]),
    ...(kvCacheDtype == null ? [] : [`kv ${kvCacheDtype}`]),
    ...(tp == null ? [] : [`tp ${tp}`]),
    ...(ep == null ? [] : [`ep ${ep}`]),
  ].join(", ");
}
