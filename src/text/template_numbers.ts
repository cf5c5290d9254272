/** Arithmetic of templates as Python has it. */
import type { Make, Node } from "./template_make.ts";
import type { Value } from "./template_values.ts";

/**
 * Whether Jinja computes the base of a power before its exponent is known: it writes Python's `-1 ** n` then, which is
 * -(1 ** n).
 */
export const losesBrackets = (power: Node): boolean => isConstant(power["left"]) && !isConstant(power["right"]);

function isConstant(part: unknown): boolean {
  if (typeof part !== "object" || part === null) return true;
  return (part as Node).type !== "Identifier" && Object.values(part).every(isConstant);
}

/** A power of whole numbers: of others, the last digit is not everywhere the same. */
export function power(left: Value, right: Value, make: Make): Value {
  if (left.type !== "IntegerValue" || right.type !== "IntegerValue" || (right.value as number) < 0) {
    throw new Error("takes a power that is not of whole numbers");
  }
  const base = left.value as number;
  if (Math.abs(base) > 1 && (right.value as number) > 53) throw new Error("makes a number beyond 2^53");
  return make.whole(Number(BigInt(base) ** BigInt(right.value as number)));
}

/** Python's `a % b`, which has the sign of b, and `a // b`, which is what is left without it. */
export function divided(operator: string, left: Value, right: Value, make: Make): Value {
  const a = left.value as number, b = right.value as number;
  const isWhole = left.type === "IntegerValue" && right.type === "IntegerValue";
  let rest = a % b;
  const isMoved = rest !== 0 && rest < 0 !== b < 0;
  if (rest === 0) rest = b < 0 ? -0 : 0;
  if (operator === "%") {
    const value = isMoved ? rest + b : rest;
    return isWhole ? make.whole(value) : make.float(value);
  }
  const value = (a - a % b) / b - (isMoved ? 1 : 0);
  if (isWhole) return make.whole(value);
  const floor = Math.floor(value);
  return make.float(
    value === 0 ? (a / b < 0 || Object.is(a / b, -0) ? -0 : 0) : value - floor > 0.5 ? floor + 1 : floor,
  );
}
