/**
 * JSON Schemas as grammars: what OpenAI's structured outputs take, and some more. A keyword that would change which
 * values are good, and is not known here, is refused by name.
 *
 * Values are spelled with their properties in the order of the schema, further ones after them. Names of properties,
 * values of enumerations and strings with a pattern or a format are spelled as JSON.stringify does.
 */
import { isConditional } from "./schema_negation.ts";
import { show } from "../describe.ts";
import { InputError } from "../errors.ts";
import { isObject } from "../json_object.ts";
import { ANY_VALUE, CLOSE_LIST, COMMA, list, OPEN_LIST, valuesNode } from "./json.ts";
import { Matcher } from "./matcher.ts";
import { all, barren, literal, literalOf, maybe, type Node, NOTHING, oneOf, type Rule, rule, times } from "./node.ts";
import { inner, isUnlisted, ObjectGrammar, spendOnTexts } from "./schema_objects.ts";
import { canonical } from "./same_value.ts";
import { checkValues } from "./schema_values.ts";
import { disjoint } from "./schema_disjoint.ts";
import { type Schema, type SchemaObject, typeOf, typesOf, withoutNotes } from "./schema_merge.ts";
import { KEYWORDS, scalarKey, TYPES } from "./schema_keywords.ts";
import { SchemaSource } from "./schema_source.ts";
import { widerSchemas } from "./schema_wider.ts";
import { countsOf, meetsBounds, numberNode, stringNode } from "./schema_scalars.ts";
import { spend, withBudget } from "./dfa.ts";

/** Schemas within schemas that are looked at, and how deep they may lie in each other. */
const MAX_SCHEMAS = 20_000;
const MAX_DEPTH = 200;
/** What the automata of a schema, or of a pattern alone, may cost: about a second, and tables of some 30 MB. */
export const MAX_COST = 8_000_000;
/** What else takes time, in that unit: looking at a schema or a value, and telling two alternatives apart. */
const COST_OF_SCHEMA = 200, COST_OF_NESTED = 1_000, COST_OF_PAIR = 20;

/** How a schema is read. */
export interface SchemaOptions {
  /** Whether what no grammar can say is left out instead of refused: the grammar takes more than the schema then. */
  readonly wider?: boolean | undefined;
  /** Whether only objects are wanted, whatever else it takes. */
  readonly objects?: boolean | undefined;
}

/**
 * The grammar of the values that a schema takes.
 *
 * @param where What messages begin with.
 * @param most What it may cost, in the unit of `spend`.
 * @throws {InputError} if it is no schema, says what is not known here, or becomes too large.
 */
export function schemaGrammar(
  schema: unknown,
  where: string,
  most: number = MAX_COST,
  { wider = false, objects = false }: SchemaOptions = {},
): Node {
  return withBudget(Math.min(most, MAX_COST), () => {
    checkValues(schema, where);
    const grammar = new SchemaGrammar(schema, where, wider);
    const typed = !objects || (isObject(schema) && schema["type"] === "object");
    // By a reference, as what refers to the whole means it as it is.
    return grammar.node(typed ? schema : { $ref: "#", type: "object" }, "");
  });
}

class SchemaGrammar {
  readonly #made = new Map<SchemaObject, Rule>();
  readonly #source: SchemaSource;
  readonly #equal = new Map<string, Node>();
  readonly #objects: ObjectGrammar;
  #depth = 0;

  constructor(root: unknown, readonly where: string, readonly wider: boolean) {
    const source = this.#source = new SchemaSource(root, where, wider);
    this.#objects = new ObjectGrammar({
      source,
      node: (schema, path) => this.node(schema, path),
      once: (key, make) => this.#once(key, make),
    });
  }

  node(schema: unknown, path: string): Node {
    if (schema === true) return ANY_VALUE;
    if (schema === false) return NOTHING;
    const object = schema as SchemaObject;
    let made = this.#made.get(object);
    if (made === undefined) {
      if (this.#made.size >= MAX_SCHEMAS) {
        throw InputError.of("too_large", { name: this.where }, `at most ${MAX_SCHEMAS} schemas in each other`, "more");
      }
      if (this.#depth >= MAX_DEPTH) {
        throw InputError.of("too_large", { name: this.where }, `schemas nested at most ${MAX_DEPTH} deep`, "more");
      }
      spend(COST_OF_SCHEMA, this.where);
      this.#made.set(object, made = rule());
      this.#depth++;
      made.node = this.wider ? this.#widened(object, path) : this.#node(object, path);
      this.#depth--;
    }
    return made;
  }

  /** As {@linkcode SchemaGrammar.#node}, of the first of ever wider schemas that there is a grammar of. */
  #widened(object: SchemaObject, path: string): Node {
    const depth = this.#depth;
    for (const schema of [object, ...widerSchemas(object)]) {
      this.#depth = depth;
      try {
        return schema === true ? ANY_VALUE : this.#node(schema as SchemaObject, path);
      } catch (thrown) {
        // A pattern of other rules than JavaScript's is malformed here.
        const unknown = thrown instanceof InputError && (thrown.code === "unsupported" || thrown.code === "malformed");
        if (!unknown) throw thrown;
      }
    }
    return ANY_VALUE;
  }

  #node(noted: SchemaObject, path: string): Node {
    const schema = withoutNotes(noted);
    for (const key of Object.keys(schema)) {
      if (!Object.hasOwn(KEYWORDS, key)) {
        throw InputError.saying(
          "unsupported",
          { name: this.#source.at(path) },
          `the keyword ${show(key)} is not supported`,
        );
      }
    }
    const { $ref, allOf, anyOf, oneOf: exclusive, ...rest } = schema as Record<string, unknown>;
    if (schema["uniqueItems"] === true) {
      const problem = "uniqueItems is not supported: what a list holds already, no grammar knows";
      throw InputError.saying("unsupported", { name: this.#source.at(path) }, problem);
    }
    if (isConditional(schema)) return this.node(this.#source.resolved(schema, path), path);
    if ($ref !== undefined) {
      if (Object.keys(schema).length === 1) return this.node(this.#source.target($ref, path), `${$ref}`);
      return this.node(this.#source.resolved(schema, path), path);
    }
    if (allOf !== undefined) {
      const { allOf: _, ...others } = schema as Record<string, unknown>;
      const parts = (allOf as readonly Schema[]).map((part) => this.#source.resolved(part, path));
      return this.node(
        parts.reduce<Schema>((merged, part) => this.#source.merges.merge(merged, part, this.#source.at(path)), others),
        path,
      );
    }
    for (const [keyword, branches] of [["anyOf", anyOf], ["oneOf", exclusive]] as const) {
      if (branches === undefined) continue;
      const parts = branches as readonly Schema[];
      if (keyword === "oneOf") this.#checkDisjoint(parts, `${path}.oneOf`);
      const { [keyword]: _, ...others } = schema as Record<string, unknown>;
      const nodes = parts.map((part, i) => {
        const at = `${path}.${keyword}[${i}]`;
        if (Object.keys(others).length === 0) return this.node(part, at);
        return this.node(this.#source.merges.merge(others, this.#source.resolved(part, at), this.#source.at(at)), at);
      });
      spendOnTexts(new Set(nodes.map(inner).filter(isUnlisted)).size, this.where);
      return oneOf(nodes);
    }
    return this.#plain(rest, path);
  }

  /** The values of a schema without $ref, anyOf, oneOf and allOf. */
  #plain(schema: SchemaObject, path: string): Node {
    const { const: constant, enum: values, ...others } = schema as Record<string, unknown>;
    if (Object.hasOwn(schema, "const") || values !== undefined) {
      const given = (values ?? [constant]) as readonly unknown[];
      const meant = Object.hasOwn(schema, "const") ? this.#same(given, constant, path) : given;
      return this.#values(meant, others, path);
    }
    const types = schema["type"] === undefined ? TYPES : typesOf(schema["type"]);
    if (types === TYPES && Object.keys(schema).length === 0) return ANY_VALUE;
    return oneOf([...new Set(types)].map((type) => this.#ofType(type, schema, path)));
  }

  #ofType(type: string, schema: SchemaObject, path: string): Node {
    switch (type) {
      case "object":
        return this.#objects.node(schema, path);
      case "array":
        return this.#list(schema, path);
      case "string":
        return this.#once(scalarKey(type, schema), () => stringNode(schema, this.#source.at(path)));
      case "number":
      case "integer":
        return this.#once(
          scalarKey(type, schema),
          () => numberNode(schema, type === "integer", this.#source.at(path)),
        );
      case "boolean":
        return literalOf(["true", "false"]);
      default:
        return literal("null");
    }
  }

  /** Those of some values that are the same as a constant. */
  #same(values: readonly unknown[], constant: unknown, path: string): readonly unknown[] {
    const at = this.#source.at(path), text = canonical(constant, at);
    return values.filter((value) => canonical(value, at) === text);
  }

  /** The values of an enum or const that the rest of the schema takes too. */
  #values(values: readonly unknown[], others: SchemaObject, path: string): Node {
    const nested = values.some((value) => typeof value === "object" && value !== null);
    const about = Object.keys(others).filter((key) => key !== "type");
    if (nested && about.length > 0) {
      throw InputError.saying(
        "unsupported",
        { name: this.#source.at(path) },
        `${about[0]} beside an enum or const of objects or lists is not supported`,
      );
    }
    // Texts are charged as automata; brackets and names of objects and lists are not.
    if (nested) spend(COST_OF_NESTED * values.length, this.where);
    if (Object.keys(others).length === 0) return valuesNode(values);
    spend(COST_OF_SCHEMA * values.length, this.where);
    let rest: Matcher | "nothing" | undefined;
    const good = values.filter((value) => {
      const types = typesOf(others["type"] ?? TYPES), type = typeOf(value);
      const fits = types.includes(type) ||
        (type === "number" && types.includes("integer") && Number.isInteger(value));
      if (!fits || about.length === 0) return fits;
      if (typeof value === "number") return meetsBounds(value, others);
      rest ??= this.#matcherOf(others, path);
      const text = new TextEncoder().encode(JSON.stringify(value));
      return rest !== "nothing" && rest.bytes(rest.start, text)?.ends === true;
    });
    return good.length === 0 ? NOTHING : valuesNode(good);
  }

  /** Reads the values of a schema without references and alternatives. */
  #matcherOf(schema: SchemaObject, path: string): Matcher | "nothing" {
    const node = this.#plain(schema, path);
    return barren(node).has(node) ? "nothing" : new Matcher(node, this.#source.at(path));
  }

  /** What is the same for equal keys is made once: equal automata take their place in masks once, too. */
  #once(key: string, make: () => Node): Node {
    let node = this.#equal.get(key);
    if (node === undefined) this.#equal.set(key, node = make());
    return node;
  }

  #list(schema: SchemaObject, path: string): Node {
    const [min, max] = countsOf(schema, "Items");
    if (min > max) return NOTHING;
    const item = schema["items"] === undefined ? ANY_VALUE : this.node(schema["items"], `${path}.items`);
    const prefix = schema["prefixItems"] === undefined
      ? []
      : (schema["prefixItems"] as readonly Schema[]).map((part, i) => this.node(part, `${path}.prefixItems[${i}]`));
    if (prefix.length === 0) return all(OPEN_LIST, list(item, min, max), CLOSE_LIST);
    const shown = prefix.slice(0, Math.min(prefix.length, max));
    let rest = times(all(COMMA, item), Math.max(0, min - shown.length), max - shown.length);
    for (let i = shown.length - 1; i >= 0; i--) {
      const here = all(...i > 0 ? [COMMA] : [], shown[i]!, rest);
      rest = i >= min ? maybe(here) : here;
    }
    return all(OPEN_LIST, rest, CLOSE_LIST);
  }

  #checkDisjoint(parts: readonly Schema[], path: string): void {
    const resolved = parts.map((part) => this.#source.resolved(part, path));
    const context = { resolved: (schema: Schema) => this.#source.resolved(schema, path), where: this.where };
    for (let i = 0; i < resolved.length; i++) {
      spend(COST_OF_PAIR * i, this.where);
      for (let j = 0; j < i; j++) {
        if (disjoint(resolved[i]!, resolved[j]!, context)) continue;
        throw InputError.of(
          "unsupported",
          { name: this.#source.at(path) },
          "alternatives that exclude each other, by their types or by a property with different constants (or anyOf)",
          `${j} and ${i}, which may both be met`,
        );
      }
    }
  }
}
