/** The text that both sides of a comparison were forced through, where they would have chosen differently. */
import { CHOICES, type KeptPassages, type Passage, PLACES } from "../passages.ts";
import { MOST_WORST } from "../samples.ts";
import { card, escape, page, section, tableHtml } from "./html.ts";
import { percent } from "./numbers.ts";
import { controls, type Likely, worstSection } from "./samples_page.ts";
import { makeTable, PAGE } from "./table.ts";

/** Most passages of a page. */
const MOST_PASSAGES = 400;

/** How many tokens the two would have chosen differently. */
export function differingTokens(sequences: readonly KeptPassages[]): number {
  return sequences.flatMap(({ passages }) => passages).reduce((sum, { differs }) => sum + differs.length, 0);
}

/**
 * The page, as HTML; null where there is nothing to show.
 *
 * @param name Of the text.
 * @param tokens Of the whole text.
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
          `list below a passage says what. They are filtered by the first of them.${left}`,
      ...(shown.length === 0 ? [] : [
        controls({
          place: PLACES.filter((place) => shown.some(({ differs: [first] }) => first!.place === place)),
          text: CHOICES.filter((choice) => shown.some(({ differs: [first] }) => first!.choice === choice)),
        }),
        ...shown.map(passageHtml),
      ]),
    ),
    ...worstSection(worst, "A", "sequence"),
  ]);
}

function passageHtml({ sequence, start, tokens, pieces, differs }: Passage & { readonly sequence: number }): string {
  const [first] = differs;
  const text = pieces.map((piece, i) => i % 2 === 0 ? escape(piece) : `<mark>${escape(piece || "(end)")}</mark>`);
  const table = makeTable<Passage["differs"][number] & { readonly token: string }>(
    [
      { head: "position", kind: "right", cell: ({ position }) => `${position}` },
      { head: "in the text", kind: "wraps", cell: ({ token }) => token === "" ? "(end)" : JSON.stringify(token) },
      { head: "A", kind: "wraps", cell: ({ a }) => list(a) },
      { head: "B", kind: "wraps", cell: ({ b }) => list(b) },
      { head: "the text goes on with", cell: ({ choice }) => choice },
    ],
    differs.map((found, i) => ({ ...found, token: pieces[2 * i + 1]! })),
    PAGE,
  );
  return `<details class="sample" data-place="${first!.place}" data-text="${
    escape(first!.choice)
  }"><summary>Sequence ${sequence}, tokens ${start} to ${start + tokens - 1}: ${differs.length} differ${
    differs.length === 1 ? "s" : ""
  }, first token ${first!.position}, in ${first!.place === "text" ? "the text" : `a ${first!.place}`}</summary>${
    card(`<p class="reply">${text.join("")}</p>${tableHtml(table, "stack")}`)
  }</details>`;
}

function list(tokens: readonly Likely[]): string {
  return tokens.map(([text, probability]) => `${JSON.stringify(text)} ${percent(probability, 1)}`).join(", ");
}
