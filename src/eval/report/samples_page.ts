/**
 * Answers side by side, where a setting's reply is not the first setting's, and the tokens that differ the most; of a
 * text that was only predicted, those alone.
 */
import { KEPT_POSITIONS } from "../predictions.ts";
import { card, escape, page, section, tableHtml } from "./html.ts";
import { percent, small } from "./numbers.ts";
import { makeTable, PAGE } from "./table.ts";

/** A reply, cut at the first token that is another one under the other setting. */
export interface CutReply {
  readonly before: string;
  /** Empty where the reply ends there. */
  readonly token: string;
  readonly after: string;
  /** What the filter took out of it. */
  readonly extracted: string;
}

/** What became of a problem under another setting. */
export const OUTCOMES = ["lost", "gained", "other answer", "same answer"] as const;

/** A problem whose replies differ. */
export interface Sample {
  readonly setting: string;
  readonly problem: number;
  readonly question: string;
  readonly outcome: (typeof OUTCOMES)[number];
  /** Number of the first token of the reply that differs, from 1. */
  readonly token: number;
  readonly first: CutReply;
  readonly other: CutReply;
}

/** A token and its probability. */
export type Likely = readonly [text: string, probability: number];

/** A token at which a setting's prediction is far from the first one's. */
export interface WorstToken {
  readonly setting: string;
  /** Number of the problem, or of the sequence of a text. */
  readonly problem: number;
  readonly position: number;
  readonly kl: number;
  /** The text that ends with the token from which the next is predicted. */
  readonly text: string;
  readonly first: readonly Likely[];
  readonly other: readonly Likely[];
}

/** What such a page shows. */
export interface Samples {
  /** What was asked. */
  readonly name: string;
  /** The first setting. */
  readonly reference: string;
  /** Replies of further settings that are those of the first, token by token, of so many. */
  readonly same: number;
  readonly replies: number;
  readonly samples: readonly Sample[];
  readonly worst: readonly WorstToken[];
}

/** Worst tokens that are shown, of all settings together. */
export const MOST_WORST = 60;
/** Most samples of a page; what was gained and lost comes first. */
const MOST_SAMPLES = 400;

/** The page, as HTML. */
export function samplesPage({ name, reference, same, replies, samples, worst }: Samples): string {
  const shown = samples.toSorted((a, b) => OUTCOMES.indexOf(a.outcome) - OUTCOMES.indexOf(b.outcome))
    .slice(0, MOST_SAMPLES);
  const left = samples.length > shown.length ? ` The first ${shown.length} of them are here.` : "";
  const title = replies === 0 ? `Tokens of ${name}` : `Answers to ${name}`;
  return page(title, [
    `<h1>${escape(title)}</h1>`,
    ...(replies === 0 ? [] : [
      `<p class="soft">${same} of ${replies} replies are those of ${escape(reference)}, token by token.</p>`,
      section(
        "Replies that differ",
        samples.length === 0
          ? "None."
          : `Up to the marked token a reply is that of ${reference}, then it goes its own way.${left}`,
        ...(shown.length === 0 ? [] : [
          controls({
            setting: [...new Set(shown.map(({ setting }) => setting))],
            outcome: OUTCOMES.filter((outcome) => shown.some((sample) => sample.outcome === outcome)),
          }),
          ...shown.map((sample) => sampleHtml(sample, reference)),
        ]),
      ),
    ]),
    ...worstSection(worst, reference, replies === 0 ? "sequence" : "problem"),
  ]);
}

/** The tokens whose predictions differ the most; nothing where there are none. */
export function worstSection(worst: readonly WorstToken[], reference: string, where: string): string[] {
  return worst.length === 0 ? [] : [section(
    "Tokens that differ the most",
    `Predictions with the largest KL from ${reference}, given the same text: the likeliest next tokens under both. ` +
      `At most ${KEPT_POSITIONS} of a ${where} under each setting, and ${MOST_WORST} in all.`,
    card(tableHtml(worstTable(worst, reference, where), "stack")),
  )];
}

/**
 * What searches and filters samples; shown by the script, which makes it work.
 *
 * @param filters Values of the attributes `data-NAME` of samples.
 */
export function controls(filters: Readonly<Record<string, readonly string[]>>): string {
  const select = ([name, values]: [string, readonly string[]]) =>
    `<select data-filter="${name}" aria-label="${name}"><option value="">every ${name}</option>${
      values.map((value) => `<option>${escape(value)}</option>`).join("")
    }</select>`;
  return `<p class="controls" hidden><input type="search" aria-label="search" placeholder="search"> ${
    Object.entries(filters).map(select).join(" ")
  } <span class="soft"></span></p>`;
}

function sampleHtml({ setting, problem, question, outcome, token, first, other }: Sample, reference: string): string {
  const reply = (who: string, { before, token, after, extracted }: CutReply) =>
    `<div><h3>${escape(who)}: ${escape(extracted)}</h3><p class="reply"><span class="soft">${
      escape(before)
    }</span><mark>${token === "" ? "(end)" : escape(token)}</mark>${escape(after)}</p></div>`;
  const names = `data-setting="${escape(setting)}" data-outcome="${outcome}"`;
  return `<details class="sample" ${names}><summary>Problem ${problem}, ${
    escape(setting)
  }: ${outcome}, from token ${token} on</summary>${
    card(
      `<p>${escape(question)}</p><div class="pair">${reply(reference, first)}${reply(setting, other)}</div>`,
    )
  }</details>`;
}

function worstTable(worst: readonly WorstToken[], reference: string, where: string) {
  const list = (tokens: readonly Likely[]) =>
    tokens.map(([text, probability]) => `${JSON.stringify(text)} ${percent(probability, 1)}`).join(", ");
  return makeTable<WorstToken>(
    [
      { head: "setting", cell: ({ setting }) => setting },
      { head: "KL, nats", kind: "right", cell: ({ kl }) => small(kl) },
      { head: where, kind: "right", cell: ({ problem }) => `${problem}` },
      { head: "position", kind: "right", cell: ({ position }) => `${position}` },
      { head: "text up to there", kind: "wraps", cell: ({ text }) => `…${text}` },
      { head: reference, kind: "wraps", cell: ({ first }) => list(first) },
      { head: "this setting", kind: "wraps", cell: ({ other }) => list(other) },
    ],
    worst,
    PAGE,
  );
}
