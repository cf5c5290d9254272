/** The commands of README.md and docs/, as they are printed there. */

const ROOT = new URL("../../", import.meta.url);

/** A command of a page. */
export interface PrintedCommand {
  readonly page: string;
  /** As a shell would read it, with all its lines and without comments. */
  readonly text: string;
  /** Lines that it prints, as far as the page shows them; "..." stands for others. */
  readonly output: readonly string[];
}

/** All of them. */
export function printedCommands(): PrintedCommand[] {
  const names = [...Deno.readDirSync(new URL("docs/", ROOT))].filter(({ isFile, name }) =>
    isFile && name.endsWith(".md")
  );
  const pages = ["README.md", ...names.map(({ name }) => `docs/${name}`).sort()];
  return pages.flatMap((page) => commandsOf(page, Deno.readTextFileSync(new URL(page, ROOT))));
}

/** The commands of one page: of its blocks of `sh`, and what follows a dollar sign in blocks of `console`. */
export function commandsOf(page: string, markdown: string): PrintedCommand[] {
  return [...markdown.matchAll(/^```(sh|console)\n([^]*?)^```/gm)].flatMap(([, kind, block]) => {
    if (kind === "sh") return logicalLines(block!).map((text) => ({ page, text, output: [] }));
    return block!.split(/^\$ /m).slice(1).map((part) => {
      const [text, ...output] = part.trimEnd().split("\n");
      return { page, text: text!, output };
    });
  });
}

/** Commands of a script: lines that go on after a backslash or up to the word of `<<'WORD'` are one. */
function logicalLines(script: string): string[] {
  const commands: string[] = [], lines = script.split("\n");
  while (lines.length > 0) {
    let text = lines.shift()!;
    const word = /<<'?(\w+)'?/.exec(text)?.[1];
    while (text.endsWith("\\")) text += `\n${lines.shift()}`;
    if (word !== undefined) { for (let line = ""; line !== word;) text += `\n${line = lines.shift() ?? word}`; }
    text = text.replace(/(?:^|\s)\s*# .*$/, "").trimEnd();
    if (text !== "") commands.push(text);
  }
  return commands;
}

/** The words of `mxoss ARGUMENTS`, however the page has it start; null for other commands. */
export function argumentsOf({ text }: PrintedCommand): string[] | null {
  const [, rest] =
    /^(?:\w+=\S+ )?(?:npx -y deno@[\d.]+ task --quiet mxoss|deno task (?:--quiet )?mxoss|mxoss)\s+([^]*)/.exec(text) ??
      [];
  if (rest === undefined) return null;
  const simple = rest.split(/\s(?:\||>|<<)/)[0]!.replaceAll("\\\n", " ");
  return [...simple.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map(([, a, b, c]) => a ?? b ?? c!);
}
