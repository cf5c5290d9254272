/** Lines of a chat template's statements, which the library does not keep. */
import type { Node } from "./template_make.ts";
import type { Token } from "./template_source.ts";
import type { Tag } from "./template_tags.ts";

/** A text, tag or comment. */
interface Entry {
  /** What kind of statement it is; empty for all others. */
  readonly name: string;
  readonly line: number;
  /** The place of its first word. */
  readonly at: number;
}

/** Texts, tags and comments in the order of words, which say where each begins. */
function entriesOf(tokens: readonly Token[], tags: readonly Tag[]): Entry[] {
  const entries: Entry[] = [];
  let next = 0;
  tokens.forEach(({ type }, at) => {
    if (type === "Text") entries.push({ name: "", line: tags[next]?.line ?? tags.at(-1)?.line ?? 1, at });
    else if (type === "OpenStatement" || type === "OpenExpression" || type === "Comment") {
      const name = type === "OpenStatement" ? tokens[at + 1]?.value ?? "" : "";
      entries.push({ name, line: tags[next++]!.line, at });
    }
  });
  return entries;
}

/** The line of the tag that the word at a place is in. */
export function lineOfWord(tokens: readonly Token[], tags: readonly Tag[], place: number): number {
  return entriesOf(tokens, tags).findLast(({ at }) => at <= place)?.line ?? 1;
}

/** The lines of the statements of a program. */
export function linesOfNodes(
  program: Node,
  tokens: readonly Token[],
  tags: readonly Tag[],
): WeakMap<Node, number> {
  const lines = new WeakMap<Node, number>(), entries = entriesOf(tokens, tags);
  let at = 0;
  const block = (nodes: unknown): void => {
    for (const node of nodes as readonly Node[]) {
      const { name, line } = entries[at++]!;
      lines.set(node, line);
      if (name !== "") statement(node);
    }
  };
  const statement = (node: Node): void => {
    if (node.type === "If") branches(node);
    else if (node.type === "For") {
      block(node["body"]);
      if (entries[at]?.name === "else") at++;
      block(node["defaultBlock"]);
    } else if (node.type === "Set" && node.value !== null || node.type === "Break" || node.type === "Continue") return;
    else block(node["body"]);
    at++;
  };
  const branches = (node: Node): void => {
    block(node["body"]);
    const alternate = node["alternate"] as readonly Node[], { name, line } = entries[at]!;
    if (name === "endif") return;
    at++;
    if (name === "else") return block(alternate);
    lines.set(alternate[0]!, line);
    branches(alternate[0]!);
  };
  block(program["body"]);
  return lines;
}
