/** Jinja's filters that part lists, round numbers, and set texts. */
import { bound, type FilterCall, flag, generator, items } from "./template_choices.ts";
import { fixedDigits } from "./template_exact.ts";
import { percentFormatted } from "./template_percent.ts";
import { centered, charactersIn } from "./template_widths.ts";
import { isNumber, isText, textOf, type Value } from "./template_values.ts";

function whole(value: Value | undefined, otherwise: number | null, least: number): number {
  const given = value === undefined ? otherwise : value.type === "IntegerValue" ? value.value as number : null;
  if (given === null || given < least) throw new Error("takes a whole number");
  return given;
}

/** Lists of so many items. */
function batch(call: FilterCall): Value {
  const { linecount, fill_with: fill } = bound(call, "linecount", "fill_with"), size = whole(linecount, null, 1);
  const { make } = call, all = items(call), rows: Value[][] = [];
  for (let at = 0; at < all.length; at += size) rows.push(all.slice(at, at + size));
  fillUp(rows.at(-1), size, fill, call);
  return generator(call, rows.map((row) => make.list(row)));
}

function fillUp(row: Value[] | undefined, size: number, fill: Value | undefined, { make }: FilterCall): void {
  if (row === undefined || fill === undefined || fill.type === "NullValue") return;
  make.room(size * 16);
  while (row.length < size) row.push(fill);
}

/** So many lists. */
function slices(call: FilterCall): Value {
  const { slices, fill_with: fill } = bound(call, "slices", "fill_with"), count = whole(slices, null, 1);
  const { make } = call, all = items(call), size = Math.floor(all.length / count), longer = all.length % count;
  make.room(count * 16);
  const rows = Array.from({ length: count }, (_, i) => {
    const start = i * size + Math.min(i, longer), row = all.slice(start, start + size + (i < longer ? 1 : 0));
    if (i >= longer) fillUp(row, row.length + 1, fill, call);
    return make.list(row);
  });
  return generator(call, rows);
}

function rounded(call: FilterCall): Value {
  const { precision, method } = bound(call, "precision", "method"), { operand, make } = call;
  const digits = whole(precision, 0, 0), value = Number(operand.value), how = method?.value ?? "common";
  if (!isNumber(operand) || !Number.isFinite(value) || digits > 22) throw new Error(`rounds a ${operand.type}`);
  if (how === "common") {
    if (operand.type === "IntegerValue") return operand;
    const size = Number(fixedDigits(Math.abs(value), digits));
    return make.float(value < 0 || Object.is(value, -0) ? -size : size);
  }
  if (how !== "ceil" && how !== "floor") throw new Error("rounds in another way");
  const moved = value * 10 ** digits;
  if (!(Math.abs(moved) <= Number.MAX_SAFE_INTEGER)) throw new Error("makes a number beyond 2^53");
  return make.float((Math[how](moved) + 0) / 10 ** digits);
}

function absolute(call: FilterCall): Value {
  bound(call);
  const { operand, make } = call, value = Math.abs(Number(operand.value));
  if (operand.type === "FloatValue") return make.float(value);
  if (operand.type !== "IntegerValue" && operand.type !== "BooleanValue") throw new Error(`has abs of ${operand.type}`);
  return make.whole(value);
}

function center(call: FilterCall): Value {
  const { width } = bound(call, "width"), text = textOf(call.operand, call.covered);
  return call.make.text(centered(text, whole(width, 80, -Infinity), " ", call.make));
}

function truncated(call: FilterCall): Value {
  const { length, killwords, end, leeway } = bound(call, "length", "killwords", "end", "leeway");
  const { operand, make, covered } = call, most = whole(length, 255, 0), after = end === undefined ? "..." : end.value;
  if (!isText(operand, covered) || typeof after !== "string" || end !== undefined && !isText(end, covered)) {
    throw new Error("truncates what is no text");
  }
  const more = whole(leeway?.type === "NullValue" ? undefined : leeway, 5, 0), text = operand.value as string;
  if (most < charactersIn(after)) throw new Error("truncates to less than what stands at the end");
  if (charactersIn(text) <= most + more) return operand;
  const kept = Array.from(text).slice(0, most - charactersIn(after)).join("");
  const blank = covered.show(kept).lastIndexOf(" ");
  return make.text((flag(killwords) || blank < 0 ? kept : kept.slice(0, blank)) + after);
}

function wordcount(call: FilterCall): Value {
  bound(call);
  const text = call.covered.show(textOf(call.operand, call.covered));
  return call.make.whole(text.match(/[\p{L}\p{N}_]+/gu)?.length ?? 0);
}

/** `%` with arguments. */
function format(call: FilterCall): Value {
  const { operand, args, named, make, covered } = call;
  if (args.length > 0 && named.size > 0) throw new Error("formats by places and by names");
  const text = make.text(textOf(operand, covered));
  return percentFormatted(text, named.size > 0 ? make.dictionary(named) : make.tuple(args), make, covered);
}

/** The filters, by their names. */
export const SHAPES: Readonly<Record<string, (call: FilterCall) => Value>> = {
  batch,
  slice: slices,
  round: rounded,
  abs: absolute,
  center,
  truncate: truncated,
  wordcount,
  format,
};
