/**
 * What `--fail-above` decides: whether a comparison exceeds a limit, is below it, or has too few tokens to say so. The
 * interval is what counts, not the number measured: another text, or another rounding, gives another one.
 */
import type { DivergenceResult } from "../eval/divergence_schema.ts";
import type { Estimated } from "../eval/predictions_schema.ts";
import { measured, small } from "../eval/report/numbers.ts";
import { largestPlace } from "../eval/report/places.ts";
import { counted } from "../amounts.ts";
import type { Limit, Watched } from "./compare_options.ts";

/** Exit code of a comparison that exceeds a limit, and of one that may or may not. */
const EXIT_EXCEEDED = 3, EXIT_UNDECIDED = 4;

/** A number that a limit is about: one with an interval, or what was counted of the tokens at hand. */
type Judged = { readonly exact: number | null } | Estimated;

/** What a limit is about. */
const MEASURES: Readonly<Record<Watched, (d: DivergenceResult) => Judged>> = {
  kl: ({ logits }) => seen(logits.all.kl.mean, logits),
  "max-kl": ({ logits }) => ({ exact: logits.all.kl.max }),
  error: (d) => largest(d.operations.map(({ total }) => total), largestPlace(d, "total_error")),
  "own-error": (d) => largest(d.operations.flatMap(({ own }) => own ?? []), largestPlace(d, "own_error")),
  disagreement: ({ logits }) => {
    const { value, low, high } = logits.all.same_top, rest = (x: number | null) => x === null ? null : 1 - x;
    return seen({ value: rest(value), low: rest(high), high: rest(low) }, logits);
  },
  flips: ({ router: { flipped, decisions, interval }, logits }) => {
    const value = flipped / Math.max(1, decisions);
    return seen({ value, low: interval?.low ?? 0, high: interval?.high ?? null }, logits);
  },
  nll: ({ logits }) => logits.all.next === null ? { exact: null } : seen(logits.all.next.nll_increase, logits),
  suspects: ({ suspects }) => ({ exact: suspects.length }),
};

/** Logits that are equal to the bit differ in nothing, whatever few tokens would leave open. */
function seen(estimate: Estimated, { all }: DivergenceResult["logits"]): Judged {
  return all.kl.max === 0 && estimate.value === 0 ? { exact: 0 } : estimate;
}

/**
 * The largest of errors, with the interval that allows for its choice among them; in files of earlier versions it is as
 * large as any is for sure, and no larger than any may be.
 */
function largest(
  errors: readonly DivergenceResult["operations"][number]["total"][],
  place: ReturnType<typeof largestPlace>,
): Judged {
  if (errors.some((error) => error.relative_error === null)) return { exact: null };
  // Where no element differs there is nothing that could be larger.
  const differing = errors.filter((error) => error.relative_error! > 0);
  if (differing.length === 0) return { exact: 0 };
  const value = Math.max(...differing.map((error) => error.relative_error!));
  if (place !== undefined) return { value, low: place.low, high: place.high };
  const ends = differing.map(({ interval }) => interval?.high ?? null);
  return {
    value,
    low: Math.max(0, ...differing.map(({ interval }) => interval?.low ?? 0)),
    high: ends.includes(null) ? null : Math.max(...ends.map((end) => end!)),
  };
}

/** Whether a limit is exceeded; null where the interval holds it. */
export function exceeds(judged: Judged, above: number): boolean | null {
  if ("exact" in judged) return judged.exact === null || judged.exact > above;
  const { value, low, high } = judged;
  // What cannot be negative exceeds 0 by one difference.
  if (value === null || above === 0 && low !== null && low >= 0) return value === null || value > 0;
  if (low !== null && low > above) return true;
  return high !== null && high <= above ? false : null;
}

/** Judges a comparison by its limits, and says in a line which it does not keep. */
export function judge(
  limits: readonly Limit[],
  divergence: DivergenceResult,
  say: (line: string) => void,
): number {
  const found = limits.map(({ what, above }) => {
    const judged = MEASURES[what](divergence), exceeded = exceeds(judged, above);
    const is = `--fail-above: ${what} is ${textOf(judged)}`;
    if (exceeded) say(`${is}, above ${above}`);
    if (exceeded === null) {
      say(`${is}, so that ${counted(divergence.tokens, "token")} cannot tell whether it is above ${above}: use more`);
    }
    return exceeded;
  });
  return found.includes(true) ? EXIT_EXCEEDED : found.includes(null) ? EXIT_UNDECIDED : 0;
}

function textOf(judged: Judged): string {
  if (!("exact" in judged)) return judged.value === null ? "not finite" : measured(judged);
  if (judged.exact === null) return "not finite";
  return Number.isInteger(judged.exact) ? `${judged.exact}` : small(judged.exact);
}
