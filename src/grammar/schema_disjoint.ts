/** Whether two JSON Schemas exclude each other, as far as that can be seen at once. */
import { isObject } from "../json_object.ts";
import { canonical } from "./same_value.ts";
import { type Schema, type SchemaObject, typesOf } from "./schema_merge.ts";

/** Properties within properties that are looked at: schemas may refer to themselves without end. */
const DEEPEST = 3;

/** Whether it is certain that no value meets both. False says nothing. */
export function disjoint(a: Schema, b: Schema, resolved: (schema: Schema) => Schema, depth = 0): boolean {
  if (depth > DEEPEST) return false;
  if (a === false || b === false) return true;
  if (!isObject(a) || !isObject(b)) return false;
  const left = constants(a), right = constants(b);
  if (left !== null && right !== null && left.every((value) => !right.includes(value))) return true;
  const types = typesOfSchema(a), others = typesOfSchema(b);
  if (types !== null && others !== null && types.every((type) => !others.includes(type))) return true;
  if (types?.join() !== "object" || others?.join() !== "object") return false;
  return needed(a).some((name) => {
    if (!needed(b).includes(name)) return false;
    const [one, other] = [a, b].map((side) => {
      const properties = side["properties"];
      return isObject(properties) && Object.hasOwn(properties, name) ? resolved(properties[name] as Schema) : true;
    });
    return disjoint(one!, other!, resolved, depth + 1);
  });
}

/** The texts of all values that a schema takes, if it lists them. */
function constants(schema: SchemaObject): string[] | null {
  if (Object.hasOwn(schema, "const")) return [canonical(schema["const"])];
  return Array.isArray(schema["enum"]) ? schema["enum"].map(canonical) : null;
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
