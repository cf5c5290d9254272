/**
 * Text that names options and commands of the program without spelling them: rooms below the command line know that
 * `kvCacheDtype` is asked for, as who calls the library does, and only `src/cli/` that this is typed
 * `--kv-cache-dtype`.
 */

/** An option, by its name. */
export interface OptionName {
  /** Its name as the library has it: `kvCacheDtype`. */
  readonly option: string;
}

/** A command of the program with options, by their names. */
export interface CommandName {
  /** Its name. */
  readonly command: string;
  /** Values of options by name. */
  readonly options: Readonly<Record<string, string>>;
}

/** A piece of a text. */
export type Piece = string | OptionName | CommandName;

/** A text, or its pieces. Plain data: it can be sent to another thread. */
export type Text = Piece | readonly Piece[];

/** How options and commands are spelled. */
export interface Spelling {
  /** Spells an option. */
  option(name: string): string;
  /** Spells a command with its options. */
  command(name: CommandName): string;
}

/** An option as it is typed, whoever reads it: `kvCacheDtype` as `--kv-cache-dtype`. */
export const typedOption = (name: string): string =>
  `--${name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;

/** A command with its options as they are typed, likewise. */
export const typedCommand = ({ command, options }: CommandName): string =>
  ["mxoss", command, ...Object.entries(options).map(([name, value]) => `${typedOption(name)} ${value}`)].join(" ");

/** The spelling of messages outside the command line: options as the library names them; a command has to be typed. */
const PLAIN: Spelling = { option: (name) => name, command: typedCommand };

/** A template of a text: `` words`use a smaller ${option("chunk")}` ``. */
export function words(parts: TemplateStringsArray, ...values: readonly (Text | number)[]): Text {
  const pieces: Piece[] = [parts[0]!];
  values.forEach((value, i) => {
    pieces.push(...typeof value === "number" ? [String(value)] : piecesOf(value), parts[i + 1]!);
  });
  return pieces;
}

/** An option in a text. */
export function option(name: string): OptionName {
  return { option: name };
}

/** A command in a text. */
export function command(name: string, options: CommandName["options"]): CommandName {
  return { command: name, options };
}

/** A text as one string. */
export function spelled(text: Text, { option, command }: Spelling = PLAIN): string {
  return piecesOf(text).map((piece) => {
    if (typeof piece === "string") return piece;
    return "option" in piece ? option(piece.option) : command(piece);
  }).join("");
}

/**
 * A text in which an option is said in another way.
 *
 * @param alone What stands for it.
 * @param before What stands for it and the blank between it and its value.
 */
export function withOption(text: Text, name: string, alone: string, before: string): Text {
  const pieces = piecesOf(text).filter((piece) => piece !== "");
  const isIt = (piece: Piece | undefined) => typeof piece === "object" && "option" in piece && piece.option === name;
  return pieces.flatMap((piece, i): Piece[] => {
    if (isIt(piece)) return [pieces[i + 1] === " " ? before : alone];
    return piece === " " && isIt(pieces[i - 1]) ? [] : [piece];
  });
}

const isList = (text: Text): text is readonly Piece[] => Array.isArray(text);

function piecesOf(text: Text): readonly Piece[] {
  return isList(text) ? text : [text];
}
