/** Completions of bash, as a script that its user sources. */
import { type Completed, MODEL_NAMES, type ShellCommand } from "./tables.ts";

/** The script. */
export function bashCompletions(commands: readonly ShellCommand[]): string {
  const names = commands.map(({ name }) => name);
  return [
    "# Completions of mxoss for bash: source <(mxoss completions bash)",
    "",
    "_mxoss_models() {",
    ...MODEL_NAMES.map((line) => `  ${line}`),
    "}",
    "",
    "# Completes the last word of a list with commas from words.",
    "_mxoss_list() {",
    '  local begun="" last="$1"',
    "  shift",
    '  case "$last" in *,*) begun="${last%,*},"; last="${last##*,}" ;; esac',
    '  COMPREPLY=($(compgen -P "$begun" -W "$*" -- "$last"))',
    "  compopt -o nospace 2>/dev/null",
    "}",
    "",
    "_mxoss_paths() {",
    "  local IFS=$'\\n'",
    "  compopt -o filenames 2>/dev/null",
    '  COMPREPLY+=($(compgen "$1" -- "$2"))',
    "}",
    "",
    "_mxoss() {",
    `  local word="\${COMP_WORDS[COMP_CWORD]}" before="\${COMP_WORDS[COMP_CWORD-1]}" command=${names[0]}`,
    "  COMPREPLY=()",
    `  if [ "$COMP_CWORD" -gt 1 ]; then`,
    `    case "\${COMP_WORDS[1]}" in ${names.join("|")}) command="\${COMP_WORDS[1]}" ;; esac`,
    "  fi",
    "  # bash takes --option=value for three words.",
    '  if [ "$word" = "=" ]; then word=""',
    '  elif [ "$before" = "=" ]; then before="${COMP_WORDS[COMP_CWORD-2]}"; fi',
    '  case "$command $before" in',
    ...commands.flatMap(valueCases),
    "  esac",
    '  case "$word" in',
    "    -*)",
    '      case "$command" in',
    ...commands.map(({ name, options }) =>
      `        ${name}) COMPREPLY=($(compgen -W "${options.map((o) => `--${o.name}`).join(" ")}" -- "$word")) ;;`
    ),
    "      esac",
    "      return ;;",
    "  esac",
    '  if [ "$COMP_CWORD" -eq 1 ]; then',
    `    COMPREPLY=($(compgen -W "${names.join(" ")}" -- "$word"))`,
    "    return",
    "  fi",
    '  case "$command" in',
    ...commands.flatMap(({ name, argument }) => {
      const action = argument === null ? null : actionOf(argument);
      return action === null ? [] : [`    ${name}) ${action} ;;`];
    }),
    "  esac",
    "}",
    "",
    "complete -F _mxoss mxoss",
    "",
  ].join("\n");
}

/** One line for all options of a command whose values are completed alike. */
function valueCases({ name, options }: ShellCommand): string[] {
  const taking = options.filter(({ value }) => value !== null);
  const byAction = Map.groupBy(taking, ({ completed }) => actionOf(completed) ?? "return");
  return [...byAction].map(([action, alike]) => {
    const patterns = alike.map((option) => `"${name} --${option.name}"`).join("|");
    return `    ${patterns}) ${action === "return" ? "return" : `${action}; return`} ;;`;
  });
}

function actionOf(completed: Completed): string | null {
  switch (completed.kind) {
    case "none":
      return null;
    case "files":
      return '_mxoss_paths -f "$word"';
    case "directories":
      return '_mxoss_paths -d "$word"';
    case "models":
      return 'COMPREPLY=($(compgen -W "$(_mxoss_models)" -- "$word")); _mxoss_paths -d "$word"';
    case "word":
      return `COMPREPLY=($(compgen -W "${completed.words.join(" ")}" -- "$word"))`;
    case "list":
      return `_mxoss_list "$word" ${completed.words.join(" ")}`;
  }
}
