/**
 * A checkpoint's Jinja chat template, rendered so that messages cannot pose as structure.
 *
 * A template mixes markup and messages into one string, and `<|end|>` typed by a user looks there like `<|end|>`
 * written by the template. So before rendering, every character of which special tokens are built (`<`, `|`, `>`) is
 * replaced, in all strings that come from outside, by a private-use character that occurs nowhere in them; the rendered
 * text is cut at the special tokens that are left, which only the template can have written; and the characters are put
 * back in the text between, which is then encoded without special tokens. What templates ask of a text, whether it
 * holds `</think>` or what its last part after that is, is asked of the text as it was, which is as long; what they cut
 * out of it is cut out of the one with replacements.
 */
import { printable } from "../describe.ts";
import { InputError, reason } from "../errors.ts";
import { Cover } from "./template_cover.ts";
import { metered, mostOf, whyTooLarge } from "./template_meter.ts";
import { pythonic, type RuntimeClass } from "./template_python.ts";
import { lineOf, scoped } from "./template_scopes.ts";
import { parsed, type Program } from "./template_parse.ts";
import type { Covered } from "./template_values.ts";
import type { Segment, Tokenizer } from "./tokenizer.ts";

/** Variables of a template. Strings in `untrusted` come from outside, those in `trusted` may hold special tokens. */
export interface TemplateVariables {
  readonly trusted: { readonly [name: string]: unknown };
  readonly untrusted: { readonly [name: string]: unknown };
  /** The time that `strftime_now` formats. */
  readonly now: Date;
}

/** Thrown by a template's `raise_exception`: a mistake in the messages, not in the template. */
class Refusal extends Error {}

/** A parsed template. */
export class ChatTemplate {
  readonly #render: (variables: Record<string, unknown>, length: number, covered: Covered) => string;

  private constructor(
    /** Where it was read, for messages. */
    readonly path: string,
    /** Its text. */
    readonly source: string,
    render: (variables: Record<string, unknown>, length: number, covered: Covered) => string,
  ) {
    this.#render = render;
  }

  /**
   * Parses a template.
   *
   * @throws {InputError} if it is not Jinja, or too large.
   */
  static async parse(path: string, source: string): Promise<ChatTemplate> {
    const large = whyTooLarge(source);
    if (large !== null) throw InputError.saying("wrong_value", { file: path }, large);
    const { Environment, Interpreter } = await import("@huggingface/jinja");
    let read: Program;
    try {
      read = parsed(source);
    } catch (thrown) {
      const problem = `cannot be read as a Jinja template: ${printable(reason(thrown))}`;
      throw InputError.saying("malformed", { file: path }, problem);
    }
    const Library = Interpreter as unknown as RuntimeClass<InstanceType<typeof Environment>>;
    return new ChatTemplate(path, source, (variables, length, covered) => {
      // Template.render() would bring a clock of its own, and no name can be set twice.
      const environment = new Environment();
      for (const [name, value] of Object.entries(variables)) environment.set(name, value);
      const Metered = metered(
        scoped(pythonic(Library, covered, mostOf(length)), read.lines, read.frames, covered),
        length,
        source.length,
      );
      const result = new Metered(environment).run(read.program) as { value: unknown };
      return String(result.value);
    });
  }

  /**
   * Renders the template to segments, in which special tokens are those that the template itself wrote.
   *
   * @throws {InputError} if the template refuses the messages, cannot be executed, or takes too much time or memory.
   */
  render(tokenizer: Tokenizer, { trusted, untrusted, now }: TemplateVariables): Segment[] {
    const input = JSON.stringify(untrusted, (_, value) => value instanceof Map ? Object.fromEntries(value) : value);
    const cover = new Cover(tokenizer.specials.keys(), input + this.source);
    const covered = Object.entries(untrusted).map(([name, value]) => [name, cover.hide(value)] as const);
    let text: string;
    try {
      text = this.#render(
        { ...GLOBALS, strftime_now: clock(now, cover), ...trusted, ...Object.fromEntries(covered) },
        input.length,
        cover,
      );
    } catch (thrown) {
      const said = printable(cover.read(reason(thrown)));
      if (thrown instanceof Refusal) {
        throw InputError.saying("unsupported", { file: this.path }, `the template refuses: ${said}`);
      }
      const line = lineOf(thrown), where = line === undefined ? "" : ` (line ${line})`;
      throw InputError.saying("unsupported", { file: this.path }, `cannot be rendered: ${said}${where}`);
    }
    return tokenizer.split(text).map((part) => "text" in part ? { text: cover.show(part.text) } : part);
  }
}

/** Most numbers of a template's `range`. */
const MAX_RANGE = 100_000;

/** What Hugging Face's templates may use besides their variables; `namespace` is the library's. */
const GLOBALS = {
  true: true,
  True: true,
  false: false,
  False: false,
  none: null,
  None: null,
  range: (...args: unknown[]): number[] => {
    const numbers = args.map(Number);
    const [start = 0, stop = 0, step = 1] = numbers.length === 1 ? [0, numbers[0]!] : numbers;
    const length = Math.max(0, Math.ceil((stop - start) / step));
    if (!(length <= MAX_RANGE)) throw new Error(`range(): expected at most ${MAX_RANGE} numbers, got ${length}`);
    return Array.from({ length }, (_, i) => start + i * step);
  },
  raise_exception: (message: unknown): never => {
    throw new Refusal(String(message));
  },
};

const MONTHS = "January February March April May June July August September October November December".split(" ");
const DAYS = "Sunday Monday Tuesday Wednesday Thursday Friday Saturday".split(" ");

/** Directives and flags that Python knows on Linux, and templates here do not. */
const UNWRITTEN = /^[cCDeFgGhklnPrRsStTuUVwWxXzZfEO_0-9^#+:]$/;

/** Python's `strftime` in the C locale, for a fixed local time; directives that only Python knows are refused. */
function clock(now: Date, covered?: Covered): (...args: unknown[]) => string {
  const two = (n: number) => String(n).padStart(2, "0");
  const month = MONTHS[now.getMonth()]!;
  const day = DAYS[now.getDay()]!;
  const hour = now.getHours();
  const firstOfYear = Date.UTC(now.getFullYear(), 0, 1);
  const dayOfYear = (Date.UTC(now.getFullYear(), now.getMonth(), now.getDate()) - firstOfYear) / 86_400_000 + 1;
  const values: Record<string, string> = {
    Y: String(now.getFullYear()).padStart(4, "0"),
    y: two(now.getFullYear() % 100),
    m: two(now.getMonth() + 1),
    B: month,
    b: month.slice(0, 3),
    d: two(now.getDate()),
    j: String(dayOfYear).padStart(3, "0"),
    A: day,
    a: day.slice(0, 3),
    H: two(hour),
    I: two(hour % 12 || 12),
    p: hour < 12 ? "AM" : "PM",
    M: two(now.getMinutes()),
    S: two(now.getSeconds()),
    "%": "%",
  };
  // glibc's `%-d` leaves out the padding.
  return (format, ...others) => {
    if (typeof format !== "string" || others.length > 0) throw new Error("strftime_now() takes one text");
    if (covered !== undefined && (covered.show(format) !== format || covered.numberIn(format) !== null)) {
      throw new Error("strftime_now() takes no text of a message");
    }
    return format.replace(/%(-?)([^-]?)/g, (directive, bare, letter) => {
      const value = values[letter];
      if (value === undefined) {
        // What no C library knows stays as it is.
        if (!UNWRITTEN.test(letter)) return directive;
        throw new Error(`strftime_now() knows no ${directive}`);
      }
      return bare ? value.replace(/^0+(?=.)/, "") : value;
    });
  };
}
