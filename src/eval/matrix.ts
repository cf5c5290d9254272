/** The settings that one evaluation runs through. */

/** One setting of the matrix. */
export interface Cell {
  /** Name of a quantization scheme; null: as the checkpoint is. */
  readonly scheme: string | null;
  readonly kvCacheDtype: "auto" | "bf16" | "fp8";
  readonly tp: number;
}

/** The axes of the matrix, each with at least one entry. */
export interface Axes {
  readonly schemes: readonly (string | null)[];
  readonly kvCacheDtypes: readonly Cell["kvCacheDtype"][];
  readonly tps: readonly number[];
}

/** Every combination; the first entry of every axis makes the first cell, which the others are compared with. */
export function cellsOf({ schemes, kvCacheDtypes, tps }: Axes): Cell[] {
  return schemes.flatMap((scheme) =>
    kvCacheDtypes.flatMap((kvCacheDtype) => tps.map((tp) => ({ scheme, kvCacheDtype, tp })))
  );
}

/** A cell's name in files and results, for instance `w_mxfp4_a_fp8.kv-bf16.tp2`. */
export function cellKey({ scheme, kvCacheDtype, tp }: Cell): string {
  return `${scheme ?? "as-stored"}.kv-${kvCacheDtype}.tp${tp}`;
}

/** What a cell is called beside the others, part by part; null is what all of them have in common. */
export interface CellName {
  readonly scheme: string | null;
  readonly kvCacheDtype: Cell["kvCacheDtype"] | null;
  readonly tp: number | null;
}

/**
 * The name of a cell: only what differs among the cells is said.
 *
 * @param schemeName Name of a cell's scheme for people, also where none was asked for.
 */
export function cellName(cell: Cell, among: readonly Cell[], schemeName: (cell: Cell) => string): CellName {
  const differs = (pick: (c: Cell) => unknown) => new Set(among.map(pick)).size > 1;
  return {
    scheme: differs((c) => c.scheme) || among.length === 1 ? schemeName(cell) : null,
    kvCacheDtype: differs((c) => c.kvCacheDtype) ? cell.kvCacheDtype : null,
    tp: differs((c) => c.tp) ? cell.tp : null,
  };
}

/** A name, or some parts of one, in words, for instance `w_mxfp4, kv fp8, tp 2`. */
export function cellLabel({ scheme, kvCacheDtype, tp }: Partial<CellName>): string {
  return [
    ...(scheme == null ? [] : [scheme]),
    ...(kvCacheDtype == null ? [] : [`kv ${kvCacheDtype}`]),
    ...(tp == null ? [] : [`tp ${tp}`]),
  ].join(", ");
}
