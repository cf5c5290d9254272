/** Numbers in the forms that Python's formats give them: the digits are exact, and what is halfway becomes even. */

/** A number of so many digits after the point, above 0 or 0. */
export function fixedDigits(value: number, digits: number): string {
  // What a float is: a whole number times a power of two.
  const [mantissa, exponent] = partsOf(value), ten = 10n ** BigInt(digits);
  const shifted = mantissa * ten;
  const whole = exponent >= 0 ? shifted << BigInt(exponent) : halfEven(shifted, 1n << BigInt(-exponent));
  const text = whole.toString().padStart(digits + 1, "0");
  return digits === 0 ? text : `${text.slice(0, -digits)}.${text.slice(-digits)}`;
}

/** Its digits, the first of which is not 0, and the power of ten of that one. */
export function leadingDigits(value: number, digits: number): [digits: string, power: number] {
  if (value === 0) return ["0".repeat(digits), 0];
  const [mantissa, exponent] = partsOf(value);
  // A guess, which may be off by one.
  let power = Math.floor(Math.log10(value));
  for (;;) {
    // Tens that are taken away, so that the digits are those of a whole number.
    const tens = power - digits + 1;
    let over = mantissa, under = 1n;
    if (exponent >= 0) over <<= BigInt(exponent);
    else under <<= BigInt(-exponent);
    if (tens >= 0) under *= 10n ** BigInt(tens);
    else over *= 10n ** BigInt(-tens);
    if (over < under * 10n ** BigInt(digits - 1)) power--;
    else if (over >= under * 10n ** BigInt(digits)) power++;
    else {
      const text = halfEven(over, under).toString();
      return [text.slice(0, digits), text.length > digits ? power + 1 : power];
    }
  }
}

function halfEven(over: bigint, under: bigint): bigint {
  const whole = over / under, twice = (over % under) * 2n;
  return twice > under || twice === under && whole % 2n === 1n ? whole + 1n : whole;
}

const view = new DataView(new ArrayBuffer(8));

function partsOf(value: number): [mantissa: bigint, exponent: number] {
  view.setFloat64(0, value);
  const bits = view.getBigUint64(0), exponent = Number(bits >> 52n & 0x7ffn), fraction = bits & (1n << 52n) - 1n;
  return exponent === 0 ? [fraction, -1074] : [fraction | 1n << 52n, exponent - 1075];
}

/** A form of floats: `e`, `f` or `g` in both cases, or `%`. */
export function floatForm(value: number, type: string, digits: number): string {
  if (!Number.isFinite(value)) throw new Error("formats a number that has no digits");
  if (digits > 100) throw new Error("formats a number with more than 100 digits");
  const kind = type.toLowerCase();
  if (kind === "f") return fixedDigits(value, digits);
  if (kind === "%") return `${fixedDigits(value * 100, digits)}%`;
  const most = kind === "e" ? digits + 1 : Math.max(1, digits), [all, power] = leadingDigits(value, most);
  const bare = (text: string) => kind === "g" && text.includes(".") ? text.replace(/\.?0+$/, "") : text;
  const pointed = (text: string, at: number) => at >= text.length ? text : `${text.slice(0, at)}.${text.slice(at)}`;
  if (kind === "g" && power >= -4 && power < most) {
    return bare(power < 0 ? `0.${"0".repeat(-power - 1)}${all}` : pointed(all, power + 1));
  }
  const exponent = `e${power < 0 ? "-" : "+"}${String(Math.abs(power)).padStart(2, "0")}`;
  const text = bare(pointed(all, 1)) + exponent;
  return type === kind ? text : text.toUpperCase();
}
