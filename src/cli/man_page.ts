/** The manual page, in troff's macros for manual pages (man(7)), from the tables that parse the command line. */
import { describe, sentence, usage, wrap } from "./help.ts";
import { ENVIRONMENT, EXIT_CODES, PROGRAM } from "./help_words.ts";
import type { CommandSpec } from "./options.ts";
import { VERSION } from "./version.ts";

/** mxoss(1). */
export function manPage(specs: readonly CommandSpec[]): string {
  return [
    `.TH MXOSS 1 "" "mxoss ${VERSION}" "User Commands"`,
    ".SH NAME",
    `mxoss \\- ${escaped(PROGRAM)}`,
    ".SH SYNOPSIS",
    ".B mxoss",
    "[\\fICOMMAND\\fR] [\\fIOPTIONS\\fR]",
    ".br",
    ".B mxoss",
    '\\fR"\\fIPROMPT\\fR"',
    ".SH DESCRIPTION",
    ...paragraph(
      "What does a quantization scheme do to a model's answers? mxoss runs GPT-OSS checkpoints and emulates the " +
        "rounding of the OCP-MX formats bit for bit. Answers go to stdout, everything else to stderr. Without a " +
        "command, the first argument is a prompt.",
    ),
    ".SH COMMANDS",
    ...specs.flatMap(commandLines),
    ".SH EXIT STATUS",
    ...EXIT_CODES.flatMap(([code, means]) => entry(`${code}`, means)),
    ".SH ENVIRONMENT",
    ...ENVIRONMENT.flatMap(([names, means]) => entry(names, means)),
    "",
  ].join("\n");
}

function commandLines(spec: CommandSpec): string[] {
  const { positional, options, notes, examples } = spec;
  return [
    `.SS ${escaped(usage(spec))}`,
    ...paragraph(sentence(spec)),
    ...(positional === null ? [] : entry(positional.name, positional.help)),
    ...Object.entries(options).flatMap(([name, option]) => [
      ".TP",
      `\\fB${escaped(`--${name}`)}\\fR${option.value === null ? "" : ` \\fI${escaped(option.value)}\\fR`}`,
      ...paragraph(describe(option)),
    ]),
    ...notes.flatMap((note) => [".PP", ...paragraph(note)]),
    ...examples.flatMap((
      { line, does },
    ) => [
      ".PP",
      ...paragraph(`${does[0]!.toUpperCase()}${does.slice(1)}:`),
      ".PP",
      ".nf",
      ".RS",
      escaped(line),
      ".RE",
      ".fi",
    ]),
  ];
}

function entry(term: string, text: string): string[] {
  return [".TP", `\\fB${escaped(term)}\\fR`, ...paragraph(text)];
}

/** Lines of a paragraph, which troff fills anew. */
function paragraph(text: string): string[] {
  return wrap(text, 72).map(escaped);
}

/** Text as troff takes it for text: no escapes, no request at the beginning, dashes that can be copied. */
function escaped(text: string): string {
  return text.replaceAll("\\", "\\e").replaceAll("-", "\\-").replace(/^(?=[.'])/, "\\&");
}
