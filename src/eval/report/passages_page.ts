/** The text that both sides of a comparison were forced through, where they would have chosen differently. */
import { CHOICES, type KeptPassages, type Passage, PLACES } from "../passages.ts";
import { card, escape, page, section, tableHtml } from "./html.ts";
import { percent } from "./numbers.ts";
import { controls, type Likely, MOST_WORST, worstSection } from "./samples_page.ts";
import { makeTable, PAGE } from "./table.ts";

/** Most passages of a page. */
const MOST_PASSAGES = 400;

/** How many tokens the two would have chosen differently. */
function differingTokens(sequences: readonly KeptPassages[]): number {
  return sequences.flatMap(({ passages }) => passages).reduce((sum, { differs }) => sum + differs.length, 0);
}

/**
 * The page, as HTML; null where there is nothing to show.
 *
 * @param name Of the text.
 * @param tokens Those that were compared: of a text, all but a last one that would be alone.
 */
export function passagesPage(name: string, tokens: number, sequences: readonly KeptPassages[]): string | null {
  const all = sequences.flatMap(({ index, passages }) => passages.map((passage) => ({ ...passage, sequence: index })));
  const shown = all.slice(0, MOST_PASSAGES);
  const worst = sequences.flatMap(({ index, worst }) =>
    worst.map((token) => ({ setting: "B", problem: index, ...token }))
  ).sort((x, y) => y.kl - x.kl).slice(0, MOST_WORST);
  if (all.length === 0 && worst.length === 0) return null;
  const left = all.length > shown.length ? ` The first ${shown.length} of ${all.length} passages are here.` : "";
  return page(`Tokens of ${name}`, [
    `<h1>${escape(`Where A and B choose differently: ${name}`)}</h1>`,
    `<p class="soft">At ${differingTokens(sequences)} of ${tokens} tokens the likeliest next token is another one.</p>`,
    section(
      "Passages",
      all.length === 0
        ? "None: A and B hold the same tokens for the likeliest everywhere."
        : "Marked are the tokens at which A and B, given the same text before, would have chosen differently; the " +
          `list below a passage says what. Filters look at the first of them that is in a reply, if one is.${left}`,
      ...(shown.length === 0 ? [] : [
        controls({
          place: PLACES.filter((place) => shown.some((passage) => telling(passage).place === place)),
          choice: CHOICES.filter((choice) => shown.some((passage) => telling(passage).choice === choice)),
        }),
        ...shown.map(passageHtml),
      ]),
    ),
    ...worstSection(worst, "A", "sequence"),
  ]);
}

/** The token that a passage is found by: in replies one decides what a model says, in prompts it decides nothing. */
function telling({ differs }: Passage): Passage["differs"][number] {
  return differs.find(({ place }) => place === "reply") ?? differs[0]!;
}

function passageHtml(passage: Passage & { readonly sequence: number }): string {
  const { sequence, start, tokens, pieces, differs } = passage, { position, place, choice } = telling(passage);
  const text = pieces.map((piece, i) => i % 2 === 0 ? escape(piece) : `<mark>${escape(piece || "(end)")}</mark>`);
  const table = makeTable<Passage["differs"][number] & { readonly token: string }>(
    [
      { head: "token", kind: "right", cell: ({ position }) => `${position}` },
      { head: "in the text", kind: "wraps", cell: ({ token }) => token === "" ? "(end)" : JSON.stringify(token) },
      { head: "A", kind: "wraps", cell: ({ a }) => list(a) },
      { head: "B", kind: "wraps", cell: ({ b }) => list(b) },
      { head: "the text goes on with", cell: ({ choice }) => choice },
    ],
    differs.map((found, i) => ({ ...found, token: pieces[2 * i + 1]! })),
    PAGE,
  );
  const many = `${differs.length} of ${tokens} tokens`, where = place === "text" ? "" : ` in a ${place}`;
  const summary = `Sequence ${sequence}, from token ${start} on: ${many}, the first${where} is ${position}`;
  return `<details class="sample" data-place="${place}" data-choice="${escape(choice)}"><summary>${summary}</summary>${
    card(`<p class="reply">${text.join("")}</p>${tableHtml(table, "stack")}`)
  }</details>`;
}

function list(tokens: readonly Likely[]): string {
  return tokens.map(([text, probability]) => `${JSON.stringify(text)} ${percent(probability, 1)}`).join(", ");
}
