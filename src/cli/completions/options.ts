/** The options of `mxoss completions`. */
import type { CommandSpec } from "../options.ts";

/** Shells whose completions are written. */
export const SHELLS = ["bash", "zsh", "fish"] as const;

/** Completions of a shell. */
export const COMPLETIONS: CommandSpec<Record<never, never>> = {
  name: "completions",
  summary: "print a script that makes a shell complete command lines: bash, zsh or fish",
  positional: { name: "SHELL", help: SHELLS.join(", "), words: SHELLS },
  options: {},
  examples: [
    { line: "mxoss completions bash", does: "to be read by bash: source <(mxoss completions bash), in ~/.bashrc" },
    { line: "mxoss completions zsh", does: "by zsh: source <(mxoss completions zsh) after compinit, in ~/.zshrc" },
    { line: "mxoss completions fish", does: "by fish: mxoss completions fish | source, in ~/.config/fish/config.fish" },
  ],
  notes: [],
};
