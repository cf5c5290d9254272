/** A JSON Schema as it was given: its places by name, and its references. */
import { show } from "../describe.ts";
import { InputError } from "../errors.ts";
import { isObject } from "../json_object.ts";
import { Merges, type Schema, type SchemaObject, withoutNotes } from "./schema_merge.ts";
import { hasAddress, SchemaChecks } from "./schema_check.ts";
import { isConditional, withoutConditions } from "./schema_negation.ts";

/** References that lead to references, one after the other, at most: more are a circle. */
const MOST_REFERENCES = 100;

/** The whole schema, which references in it lead to. */
export class SchemaSource {
  readonly merges = new Merges();
  readonly #plain = new WeakMap<SchemaObject, Schema>();
  /** Schemas that are being resolved. */
  readonly #open = new Set<SchemaObject>();
  readonly #checks: SchemaChecks;

  /**
   * @param where What messages begin with.
   * @param wider Whether patterns may be such as no grammar knows.
   * @throws {InputError} if a keyword in it has a value that it cannot have.
   */
  constructor(readonly root: unknown, readonly where: string, wider: boolean) {
    this.#checks = new SchemaChecks(where, wider);
    this.#checks.check(root, where, false);
  }

  /**
   * A schema whose references are followed, without conditions; what stands beside a reference must be met too.
   *
   * @throws {InputError} where a condition is none that a grammar can be made of.
   */
  resolved(schema: Schema, path: string): Schema {
    if (!isObject(schema)) return schema;
    // What a schema is must not depend on what it is itself, as where it negates itself.
    if (this.#open.has(schema)) throw this.wrong(path, "references that lead to a schema", "a circle");
    this.#open.add(schema);
    try {
      return this.#resolved(schema, path);
    } finally {
      this.#open.delete(schema);
    }
  }

  #resolved(schema: Schema, path: string): Schema {
    const at = this.#referred(schema, path);
    if (!isObject(at) || !isConditional(at)) return at;
    let plain = this.#plain.get(at);
    if (plain === undefined) {
      const resolved = (inner: Schema) => this.resolved(inner, path);
      this.#plain.set(at, plain = withoutConditions(at, { resolved, where: this.at(path) }));
    }
    return plain;
  }

  #referred(schema: Schema, path: string): Schema {
    let at = schema;
    for (let steps = 0; isObject(at) && at["$ref"] !== undefined; steps++) {
      if (steps > MOST_REFERENCES) throw this.wrong(path, "references that lead to a schema", "a circle");
      const { $ref, ...others } = withoutNotes(at) as Record<string, unknown>;
      const target = this.target($ref, path);
      at = Object.keys(others).length === 0
        ? target
        : this.merges.merge(this.resolved(target, path), others, this.at(path));
    }
    return at;
  }

  /** The schema that a reference means. */
  target(given: unknown, path: string): Schema {
    const reference = given as string;
    if (!/^#(?:$|\/)/.test(reference)) {
      throw InputError.of(
        "unsupported",
        { name: this.at(`${path}.$ref`) },
        "a place in this schema (#/...)",
        show(reference),
      );
    }
    let at: unknown = this.root, addressed = false;
    for (const part of reference.split("/").slice(1)) {
      const key = decode(part).replaceAll("~1", "/").replaceAll("~0", "~");
      at = Array.isArray(at) ? at[Number(key)] : isObject(at) && Object.hasOwn(at, key) ? at[key] : undefined;
      addressed ||= hasAddress(at);
    }
    if (typeof at !== "boolean" && !isObject(at)) throw this.wrong(`${path}.$ref`, "a schema to refer to", reference);
    // A schema of $defs, and data that is referred to, is looked at when it is needed.
    this.#checks.check(at, this.at(reference), addressed);
    return at;
  }

  /** A place as messages name it. */
  at(path: string): string {
    return `${this.where}${path.startsWith("#") ? `.${path}` : path}`;
  }

  /** The error for a keyword whose value is none that it can have. */
  wrong(path: string, expected: string, got: unknown): InputError {
    return InputError.of("wrong_value", { name: this.at(path) }, expected, show(got));
  }
}

/** A part of a reference with its percent escapes decoded; as it is where they are garbled. */
function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
