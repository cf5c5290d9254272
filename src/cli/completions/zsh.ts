/** Completions of zsh: a file `_mxoss` of its function path, or a script that is sourced. */
import { type Completed, MODEL_NAMES, type ShellCommand, type ShellOption } from "./tables.ts";

/** The script. */
export function zshCompletions(commands: readonly ShellCommand[]): string {
  return [
    "#compdef mxoss",
    "# Completions of mxoss for zsh: source <(mxoss completions zsh), or as _mxoss in a directory of $fpath.",
    "",
    "_mxoss_names() {",
    "  setopt localoptions nonomatch",
    ...MODEL_NAMES.map((line) => `  ${line}`),
    "}",
    "",
    "_mxoss_models() {",
    '  local -a names=(${(f)"$(_mxoss_names)"})',
    "  compadd -a names",
    "  _files -/",
    "}",
    "",
    "_mxoss_commands() {",
    "  local -a commands=(",
    ...commands.map(({ name, summary }) => `    ${quoted(`${name}:${summary.replaceAll(":", "\\:")}`)}`),
    "  )",
    "  _describe command commands",
    "}",
    "",
    "_mxoss() {",
    `  local command=${commands[0]!.name}`,
    "  if (( CURRENT > 2 )); then",
    `    case $words[2] in ${commands.map(({ name }) => name).join("|")})`,
    "      command=$words[2]; shift words; (( CURRENT-- )) ;;",
    "    esac",
    "  elif [[ $words[2] != -* ]]; then",
    "    _mxoss_commands",
    "    return",
    "  fi",
    "  case $command in",
    ...commands.flatMap(({ name, options, argument }) => [
      `    ${name})`,
      "      _arguments \\",
      [
        ...options.map(optionSpec),
        ...(argument === null || argument.kind === "none" ? [] : [quoted(`*:argument:${actionOf(argument)}`)]),
      ].map((spec) => `        ${spec}`).join(" \\\n"),
      "      ;;",
    ]),
    "  esac",
    "}",
    "",
    "# Within the function path this file is the function itself.",
    'if [[ $funcstack[1] == _mxoss ]]; then _mxoss "$@"; else compdef _mxoss mxoss; fi',
    "",
  ].join("\n");
}

function optionSpec({ name, help, value, completed, many }: ShellOption): string {
  const text = help.replaceAll(/[[\]\\]/g, "\\$&").replaceAll(":", "\\:");
  return quoted(
    `${many ? "*" : ""}--${name}${value === null ? "" : "="}[${text}]${
      value === null ? "" : `:${value}:${actionOf(completed)}`
    }`,
  );
}

function actionOf(completed: Completed): string {
  switch (completed.kind) {
    case "none":
      return " ";
    case "files":
      return "_files";
    case "directories":
      return "_files -/";
    case "models":
      return "_mxoss_models";
    case "word":
      return `(${completed.words.join(" ")})`;
    case "list":
      return `_values -s , value ${completed.words.join(" ")}`;
  }
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
