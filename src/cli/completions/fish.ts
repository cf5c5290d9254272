/** Completions of fish, as a script that its user sources. */
import type { Completed, ShellCommand, ShellOption } from "./tables.ts";

/** The script. */
export function fishCompletions(commands: readonly ShellCommand[]): string {
  const names = commands.map(({ name }) => name);
  return [
    "# Completions of mxoss for fish: mxoss completions fish | source",
    "",
    "function __mxoss_command",
    "    set -l words (commandline -opc)",
    `    if set -q words[2]; and contains -- $words[2] ${names.join(" ")}`,
    "        echo $words[2]",
    "    else",
    `        echo ${names[0]}`,
    "    end",
    "end",
    "",
    "function __mxoss_is",
    "    test (__mxoss_command) = $argv[1]",
    "end",
    "",
    "function __mxoss_first",
    "    test (count (commandline -opc)) -eq 1",
    "end",
    "",
    "function __mxoss_models",
    "    set -l hub ~/.cache/huggingface/hub",
    "    if set -q HF_HUB_CACHE",
    "        set hub $HF_HUB_CACHE",
    "    else if set -q HUGGINGFACE_HUB_CACHE",
    "        set hub $HUGGINGFACE_HUB_CACHE",
    "    else if set -q HF_HOME",
    "        set hub $HF_HOME/hub",
    "    else if set -q XDG_CACHE_HOME",
    "        set hub $XDG_CACHE_HOME/huggingface/hub",
    "    end",
    "    for name in $hub/models--*/snapshots",
    "        string replace -r '.*/models--(.*)/snapshots$' '$1' -- $name | string replace -a -- -- /",
    "    end",
    "    __fish_complete_directories (commandline -ct)",
    "end",
    "",
    "# Each word after what is there of a list with commas.",
    "function __mxoss_list",
    "    set -l begun (string match -r '.*,' -- (string replace -r '^--[^=]*=' '' -- (commandline -ct)))",
    '    test -n "$begun"; or set begun ""',
    "    for word in $argv",
    "        echo $begun$word",
    "    end",
    "end",
    "",
    "complete -c mxoss -e",
    "complete -c mxoss -f",
    ...commands.map(({ name, summary }) => `complete -c mxoss -n __mxoss_first -a ${name} -d ${quoted(summary)}`),
    ...commands.flatMap(({ name, options, argument }) => {
      const begin = `complete -c mxoss -n '__mxoss_is ${name}'`;
      const own = argument === null ? "" : actionOf(argument);
      return [
        ...options.map((option) => `${begin} -l ${option.name}${valueOf(option)} -d ${quoted(option.help)}`),
        ...(own === "" ? [] : [`complete -c mxoss -n '__mxoss_is ${name}; and not __mxoss_first'${own}`]),
      ];
    }),
    "",
  ].join("\n");
}

function valueOf({ value, completed }: ShellOption): string {
  if (value === null) return "";
  return completed.kind === "files" ? " -r -F" : ` -x${actionOf(completed)}`;
}

function actionOf(completed: Completed): string {
  switch (completed.kind) {
    case "none":
      return "";
    case "files":
      return " -F";
    case "directories":
      return " -a '(__fish_complete_directories (commandline -ct))'";
    case "models":
      return " -a '(__mxoss_models)'";
    case "word":
      return ` -a ${quoted(completed.words.join(" "))}`;
    case "list":
      return ` -a '(__mxoss_list ${completed.words.join(" ")})'`;
  }
}

function quoted(text: string): string {
  return `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
}
