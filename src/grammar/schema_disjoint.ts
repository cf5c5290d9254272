/** Whether two JSON Schemas exclude each other, as far as that can be seen at once. */
import { isObject } from "../json_object.ts";
import { canonical } from "./same_value.ts";
import { type Schema, type SchemaObject, typesOf } from "./schema_merge.ts";

/** Properties within properties that are looked at: schemas may refer to themselves without end. */
const DEEPEST = 3;

/** What is known of the whole schema. */
interface Context {
  /** Follows references. */
  readonly resolved: (schema: Schema) => Schema;
  /** What messages begin with. */
  readonly where: string;
}

/** Whether it is certain that no value meets both. False says nothing. */
export function disjoint(a: Schema, b: Schema, context: Context, depth = 0): boolean {
  if (depth > DEEPEST) return false;
  if (a === false || b === false) return true;
  if (!isObject(a) || !isObject(b)) return false;
  const left = constants(a, context), right = constants(b, context);
  if (left !== null && right !== null && left.every((value) => !right.includes(value))) return true;
  const types = typesOfSchema(a), others = typesOfSchema(b);
  if (types !== null && others !== null && types.every((type) => !others.includes(type))) return true;
  if (types?.join() !== "object" || others?.join() !== "object") return false;
  return needed(a).some((name) => {
    if (!needed(b).includes(name)) return false;
    const [one, other] = [a, b].map((side) => {
      const properties = side["properties"];
      return isObject(properties) && Object.hasOwn(properties, name)
        ? context.resolved(properties[name] as Schema)
        : true;
    });
    return disjoint(one!, other!, context, depth + 1);
  });
}

/** What was found out about the values of schemas, which are compared in pairs. */
const known = new WeakMap<SchemaObject, readonly string[] | null>();

/** The texts of all values that a schema takes, if it lists them. */
function constants(schema: SchemaObject, { where }: Context): readonly string[] | null {
  let texts = known.get(schema);
  if (texts === undefined) known.set(schema, texts = textsOf(schema, where));
  return texts;
}

function textsOf(schema: SchemaObject, where: string): string[] | null {
  if (Object.hasOwn(schema, "const")) return [canonical(schema["const"], where)];
  return Array.isArray(schema["enum"]) ? schema["enum"].map((value) => canonical(value, where)) : null;
}

/** Types that a schema takes, where it says so; integers count as numbers. */
function typesOfSchema(schema: SchemaObject): string[] | null {
  if (schema["type"] === undefined) return null;
  return typesOf(schema["type"]).map((type) => type === "integer" ? "number" : type);
}

function needed(schema: SchemaObject): readonly string[] {
  const required = schema["required"];
  return Array.isArray(required) ? required.filter((name) => typeof name === "string") : [];
}
