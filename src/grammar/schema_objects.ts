/** JSON Schemas of objects: properties in the order of the schema, then others, whose names may be held to patterns. */
import { InputError } from "../errors.ts";
import { CLOSE_OBJECT, COLON, COMMA, list, OPEN_OBJECT } from "./json.ts";
import { all, bytes, literal, type Node, NOTHING, oneOf, rule, times } from "./node.ts";
import { isObject } from "../json_object.ts";
import type { Schema, SchemaObject } from "./schema_merge.ts";
import type { SchemaSource } from "./schema_source.ts";
import { countsOf } from "./schema_scalars.ts";
import { combined, type Dfa, matches, quoted, spend, textsOf } from "./dfa.ts";
import { patternText } from "./pattern.ts";
import { stringifiedText, textOfLength } from "./strings.ts";

/** Properties of an object; OpenAI takes as many in a schema. */
const MAX_PROPERTIES = 5_000;
/** A mask at the beginning of alternatives looks at all tokens for each text that is none of a list. */
const COST_OF_TEXT = 60_000, FREE_TEXTS = 8;

/** Counts what a mask costs where so many texts are alternatives. */
export function spendOnTexts(count: number, where: string): void {
  spend(COST_OF_TEXT * Math.max(0, count - FREE_TEXTS), where);
}

/** Whether a node is of texts that are none of a list. */
export function isUnlisted(node: Node): boolean {
  return node.kind === "string" || (node.kind === "bytes" && node.dfa.listed !== true);
}

/** Names that a pattern is about. */
interface NamesByPattern {
  readonly names: Dfa;
  readonly value: Schema;
}

/** What a rule stands for. */
export function inner(node: Node): Node {
  while (node.kind === "rule" && node.node !== null) node = node.node;
  return node;
}

/** The grammar that objects are a part of. */
export interface Within {
  readonly source: SchemaSource;
  /** The values of a schema. */
  node(schema: unknown, path: string): Node;
  /** Makes what is the same for equal keys once. */
  once(key: string, make: () => Node): Node;
}

/** Objects of a schema. */
export class ObjectGrammar {
  constructor(readonly within: Within) {}

  /**
   * The objects that a schema takes.
   *
   * @throws {InputError} if its keywords are not supported.
   */
  node(schema: SchemaObject, path: string): Node {
    const properties = (schema["properties"] ?? {}) as Readonly<Record<string, Schema>>;
    const required = (schema["required"] ?? []) as readonly string[];
    const further = (schema["additionalProperties"] ?? true) as Schema, patterns = this.#patterns(schema, path);
    const spelled = this.#names(schema, path), needed = new Set(required);
    const names = [...new Set([...Object.keys(properties), ...required])];
    if (names.length > MAX_PROPERTIES) {
      const most = `at most ${MAX_PROPERTIES} properties`;
      throw InputError.of("too_large", { name: this.within.source.at(path) }, most, names.length);
    }
    const members = names.map((name) => {
      const quoted = new TextEncoder().encode(JSON.stringify(name)), at = `${path}.properties.${name}`;
      const said = patterns.filter(({ names }) => matches(names, quoted)).map(({ value }) => value);
      if (Object.hasOwn(properties, name)) said.unshift(properties[name]!);
      const value = said.length === 0
        ? this.within.node(further, `${path}.additionalProperties`)
        : this.within.node(this.#together(said, at), at);
      const good = spelled === null || matches(spelled, quoted);
      return { node: good ? all(literal(JSON.stringify(name)), COLON, value) : NOTHING, needed: needed.has(name) };
    });
    const extra = patterns.length > 0
      ? this.#byPattern(this.#otherName(names, spelled), patterns, further, path)
      : further === false
      ? NOTHING
      : all(this.#otherName(names, spelled), COLON, this.within.node(further, `${path}.additionalProperties`));
    const open = further !== false || patterns.length > 0;
    const at = this.within.source.at(path), [min, max] = countsOf(schema, "Properties"), declared = members.length;
    // Names of further members may repeat, so that two of them may be one property; and declared ones may be left out.
    const atLeast = min > needed.size, some = Number(atLeast);
    if (atLeast && min > 1) {
      throw InputError.of("unsupported", { name: `${at}.minProperties` }, "1, or a count that required meets", min);
    }
    const most = max - declared;
    if (most < 0 || (most !== Infinity && declared > needed.size && open)) {
      const expected = "a count that leaves room for all properties, which are required where there may be others";
      throw InputError.of("unsupported", { name: `${at}.maxProperties` }, expected, max);
    }
    // From the last member to the first: what may follow when a member was written before, and when none was.
    let after: Node = times(all(COMMA, extra), 0, most), first: Node = list(extra, some, most);
    for (const { node, needed } of members.reverse()) {
      const [laterAfter, laterFirst] = [after, first];
      const written = rule();
      written.node = all(node, laterAfter);
      after = needed ? all(COMMA, written) : oneOf([all(COMMA, written), laterAfter]);
      first = needed ? written : oneOf([written, laterFirst]);
    }
    return all(OPEN_OBJECT, first, CLOSE_OBJECT);
  }

  /** The names that patterns are about, with their quotes, and what the values of each must be. */
  #patterns(schema: SchemaObject, path: string): NamesByPattern[] {
    const said = (schema["patternProperties"] ?? {}) as Readonly<Record<string, Schema>>;
    return Object.entries(said).flatMap(([pattern, value]) => {
      const where = this.within.source.at(`${path}.patternProperties.${pattern}`), text = patternText(pattern, where);
      return text === null ? [] : [{ names: quoted(text), value }];
    });
  }

  /** Members under other names, parted by the patterns that these meet: a value is what all of them say. */
  #byPattern(names: Node, patterns: readonly NamesByPattern[], further: Schema, path: string): Node {
    if (names.kind !== "bytes") return NOTHING;
    const at = `${path}.patternProperties`;
    let parts: { readonly dfa: Dfa; readonly said: readonly Schema[] }[] = [{ dfa: names.dfa, said: [] }];
    for (const { names, value } of patterns) {
      parts = parts.flatMap(({ dfa, said }) => {
        const met = combined(dfa, names, "both", this.within.source.where),
          unmet = combined(dfa, names, "without", this.within.source.where);
        return [
          ...met === null ? [] : [{ dfa: met, said: [...said, value] }],
          ...unmet === null ? [] : [{ dfa: unmet, said }],
        ];
      });
    }
    spendOnTexts(parts.length, this.within.source.where);
    return oneOf(
      parts.map(({ dfa, said }) =>
        all(bytes(dfa), COLON, this.within.node(said.length === 0 ? further : this.#together(said, at), at))
      ),
    );
  }

  /** What all of some schemas take. */
  #together(schemas: readonly Schema[], path: string): Schema {
    const [first, ...rest] = schemas;
    if (rest.length === 0) return first!;
    return schemas.map((one) => this.within.source.resolved(one, path)).reduce((a, b) =>
      this.within.source.merges.merge(a, b, this.within.source.at(path))
    );
  }

  /** The names that properties may have, with their quotes; null: any. */
  #names(schema: SchemaObject, path: string): Dfa | null {
    const names = schema["propertyNames"];
    if (names === undefined || names === true) return null;
    const at = `${path}.propertyNames`;
    if (!isObject(names)) throw this.within.source.wrong(at, "a JSON Schema of strings", names);
    const strings = this.within.source.merges.merge({ type: "string" }, this.within.source.resolved(names, at), at);
    const node = inner(this.within.node(strings, at));
    const met = (dfa: Dfa, text: Dfa) => combined(dfa, quoted(text), "both", this.within.source.where);
    if (node.kind === "bytes") return met(node.dfa, stringifiedText());
    if (node.kind === "string") {
      // Names are parted by what other names there are, which automata say.
      const { measured, min, max } = node.lengths;
      return met(measured.dfa, textOfLength(min, max, this.within.source.at(at)));
    }
    throw InputError.of("unsupported", { name: this.within.source.at(at) }, "a schema of strings without alternatives");
  }

  /** The names that properties may have, but for these. */
  #otherName(names: readonly string[], spelled: Dfa | null): Node {
    const any = spelled ?? quoted(stringifiedText());
    if (names.length === 0) return bytes(any);
    const make = () => {
      const known = textsOf(names.map((name) => JSON.stringify(name)), this.within.source.where);
      return bytes(combined(any, known, "without", this.within.source.where));
    };
    // Alternatives often have the same names.
    return spelled === null ? this.within.once(`names ${JSON.stringify(names)}`, make) : make();
  }
}
