/** The interface of a task: what is measured under every setting of a matrix. `runTask` of run.ts carries it out. */
import type { DivergenceResult } from "./divergence_schema.ts";
import type { AskedCell, SettingCost, SettingProtocol } from "./setting_schema.ts";
import type { z } from "zod";
import type { ModelConfig } from "../checkpoint/model_config.ts";
import type { Room } from "../session/open.ts";
import type { PlannedSetting } from "../session/setting.ts";
import type { Session } from "../session/session.ts";
import { type Cell, cellKey, cellLabel, type CellName, cellName } from "./matrix.ts";
import type { Indexed } from "./journal.ts";
import type { Bandwidth } from "./cost.ts";
import type { ForcedSequence } from "./predictions.ts";
import type { Sampled } from "./samples_schema.ts";
import type { PredictionsResult, RankingResult, Stopped } from "./predictions_schema.ts";

/** A cell of the matrix, as results have it. */
export interface CellHead extends CellFacts {
  /** Its name in files and results. */
  readonly key: string;
  /** What people call it beside the others, part by part. */
  readonly name: CellName;
  /** The same in words. */
  readonly label: string;
}

/** What a cell is by itself. */
export interface CellFacts {
  /** Its place on the axes. */
  readonly asked: Cell;
  /** What goes with every number of it. */
  readonly protocol: SettingProtocol;
  readonly cost: SettingCost;
}

/** A cell whose number formats are decided, so that it can be computed. */
export interface RunCell extends CellHead {
  readonly setting: PlannedSetting;
}

/** The same without what proves the weights, which takes time to find. */
export type PlannedCell = Omit<RunCell, "protocol">;

/** Names of cells, each beside the others. */
export function headsOf<Facts extends CellFacts>(cells: readonly Facts[]): (Facts & CellHead)[] {
  return namedBeside(cells, ({ protocol: { scheme } }) => scheme);
}

/** The same of cells that have no protocol yet. */
export function namedBeside<Facts extends Pick<CellFacts, "asked">>(
  cells: readonly Facts[],
  schemeOf: (cell: Facts) => string,
): (Facts & Pick<CellHead, "key" | "name" | "label">)[] {
  const among = cells.map(({ asked }) => asked);
  const schemes = new Map(cells.map((cell) => [cell.asked, schemeOf(cell)]));
  return cells.map((facts) => {
    const name = cellName(facts.asked, among, (cell) => schemes.get(cell)!);
    return { ...facts, key: cellKey(facts.asked), name, label: cellLabel(name) };
  });
}

/** What every results file says of a cell. */
export interface CellResult {
  readonly key: string;
  readonly label: string;
  readonly asked: AskedCell;
  readonly protocol: SettingProtocol;
  readonly cost: SettingCost;
}

/** What results say of a cell besides its measures. */
export function cellResult({ key, label, asked, protocol, cost }: CellHead): CellResult {
  const { kvCacheDtype: kv_cache_dtype, model, scheme, tp, ep } = asked;
  return { key, label, asked: { model, scheme, kv_cache_dtype, tp, ep }, protocol, cost };
}

/** A cell's place on the axes, from its results. */
export function askedOf({ asked: { kv_cache_dtype: kvCacheDtype, ...asked } }: CellResult): Cell {
  return { ...asked, kvCacheDtype };
}

/** What the cells of results are called, part by part. */
export function namesOf({ cells }: { readonly cells: readonly CellResult[] }): CellName[] {
  const facts = cells.map((cell) => ({ asked: askedOf(cell), protocol: cell.protocol, cost: cell.cost }));
  return headsOf(facts).map(({ name }) => name);
}

/** What a task asks of every cell, the same of all. */
export interface Asked<Protocol> {
  readonly protocol: Protocol;
  /** Numbers of what is asked, in order; the entries of a cell's journal have the same. */
  readonly indices: readonly number[];
}

/** How much is asked of a cell. */
export interface WorkSize {
  /** Tokens that are read, shared beginnings once. */
  readonly prompt: number;
  /** Tokens of all replies: as many as the data's own answers have, and as many as are allowed. */
  readonly replies: { readonly low: number; readonly high: number };
  /** Tokens that a reply has before it, in the mean; 0 where there are no replies. */
  readonly before: number;
  /** Tokens of the first `count` sequences on which cells are compared, with replies as above. */
  compared(count: number): { readonly low: number; readonly high: number };
}

/** Where the entries of a cell are kept; see {@linkcode Journal}. */
export interface Store<Entry> {
  readonly entries: ReadonlyMap<number, Entry>;
  append(entry: Entry): void;
}

/** A cell and what it answered, in the order in which it was asked. */
export interface AnsweredCell<Entry, Head extends CellHead = CellHead> {
  readonly cell: Head;
  readonly entries: readonly Entry[];
}

/** What tells the results of one task from those of another. */
export interface ResultsHead {
  readonly schema: string;
  readonly protocol: unknown;
}

/** What every results file has besides the task's own measures. */
export interface Common {
  /** Version of the program. */
  readonly mxoss: string;
  /** Tokens per second are estimated for it; null: for none. */
  readonly bandwidth: Bandwidth | null;
  readonly divergences: {
    key: string;
    predictions: PredictionsResult;
    stopped: Stopped;
    divergence: DivergenceResult;
  }[];
  /** Null where fewer than two settings are compared with the first. */
  readonly ranking: RankingResult | null;
}

/** Says how far a cell is, in the task's unit; `aside` is a preliminary result in words, or empty. */
export type OnProgress = (done: number, total: number, aside: string) => void;

/** A cell's journal. */
export interface JournalOf<Entry> {
  /** What it is called in file names and headers. */
  readonly name: string;
  readonly entry: z.ZodType<Entry>;
  /** An entry with no more than `summarize` and `page` read of it: reports hold those of all machines at once. */
  readonly lean: (entry: Entry) => Entry;
}

/**
 * A task. `prepare` makes what is asked out of a request, `answer` lets one cell answer it, and `summarize` makes the
 * results of all cells' answers. The rest describes what is kept on disk.
 */
export interface Task<
  Request,
  Work extends Asked<Results["protocol"]>,
  Entry extends Indexed,
  Results extends ResultsHead,
> {
  /** Schema of results.json, and its name. */
  readonly results: z.ZodType<Results>;
  readonly schema: Results["schema"];
  /** Schema of the `protocol` of the results. */
  readonly protocol: z.ZodType<Results["protocol"]>;
  readonly journal: JournalOf<Entry>;
  /** What progress is counted in, for instance "problems". */
  readonly unit: string;

  /**
   * Makes what is asked.
   *
   * @throws {InputError} where the model cannot be asked that.
   */
  prepare(request: Request, config: ModelConfig): Work;
  /** The part of the protocol that answers depend on: results of another identity are not mixed. */
  identity(protocol: Results["protocol"]): Readonly<Record<string, unknown>>;
  /** The identity as headers of journals have it. */
  header(protocol: Results["protocol"]): Readonly<Record<string, unknown>>;
  /**
   * A part of what is asked, from one place to before another. What goes with all of it stays: the protocol, and what
   * all prompts begin with.
   */
  part(work: Work, from: number, to: number): Work;
  /** What the session of a setting must have room for. */
  room(work: Work, setting: PlannedSetting): Promise<Room>;
  /** How much is asked of every cell. */
  size(work: Work): WorkSize;
  /** Answers what the store does not hold yet. */
  answer(work: Work, session: Session, store: Store<Entry>, onProgress: OnProgress): Promise<void>;
  /** The sequences that cells can be compared on, in order, given the first cell's answers. */
  compared(work: Work, first: readonly Entry[]): readonly ForcedSequence[];
  /** The results; the first cell is the one that the others are compared with. */
  summarize(protocol: Results["protocol"], cells: readonly AnsweredCell<Entry>[], common: Common): Results;
  /** Entries that a finished cell has. */
  asked(protocol: Results["protocol"]): number;
  /**
   * The report of the results, as HTML.
   *
   * @param samples Whether samples.html lies beside it.
   */
  page(results: Results, samples: boolean): Promise<string>;
  /** What samples.html is made of. */
  readonly samples: Sampled<Work, Entry, Results["protocol"]>;
  /** Files beside results.json and the pages, by name. */
  files(work: Work, cells: readonly AnsweredCell<Entry>[]): Iterable<readonly [name: string, text: string]>;
}
