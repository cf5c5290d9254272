/** Formats of strings against calendars and readers of addresses that are not ours. */
import { isIPv4, isIPv6 } from "node:net";
import { assertEquals } from "../assert.ts";
import { matcherOf, takes } from "./judge.ts";

/** Whether a format takes a text. */
function reader(format: string): (text: string) => boolean {
  const matcher = matcherOf({ type: "string", format });
  return (text) => takes(matcher, JSON.stringify(text));
}
const padded = (value: number, digits: number) => value.toString().padStart(digits, "0");
const upTo = (most: number) => Array.from({ length: most + 1 }, (_, value) => value);

Deno.test("dates are the days of JavaScript's calendar from the year 1 on", () => {
  const isDate = reader("date");
  const check = (year: number, month: number, day: number) => {
    const text = `${padded(year, 4)}-${padded(month, 2)}-${padded(day, 2)}`, date = new Date(0);
    date.setUTCFullYear(year, month - 1, day);
    assertEquals(isDate(text), year > 0 && date.toISOString() === `${text}T00:00:00.000Z`, text);
  };
  for (const year of [1900, 2000, 2023, 2024]) {
    for (const month of upTo(13)) for (const day of upTo(32)) check(year, month, day);
  }
  // Each digit of a year at each of its places, alone and with others, and all leap years of 800 years.
  for (const digit of upTo(9)) {
    for (const place of [1, 10, 100, 1000]) for (const rest of [0, 2024 % place]) check(digit * place + rest, 1, 1);
  }
  for (const year of [...upTo(799), ...upTo(799).map((year) => year + 9200)]) check(year, 2, 29);
});

Deno.test("times are those of a day, with seconds, their parts, and an offset of a day's times", () => {
  const isTime = reader("time");
  for (const value of upTo(99)) {
    const two = padded(value, 2), hour = value < 24, minute = value < 60;
    assertEquals(isTime(`${two}:00:00Z`), hour, `hour ${two}`);
    assertEquals(isTime(`00:${two}:00Z`), minute, `minute ${two}`);
    assertEquals(isTime(`00:00:${two}Z`), minute, `second ${two}`);
    assertEquals(isTime(`00:00:00+${two}:00`), hour, `hour of offset ${two}`);
    assertEquals(isTime(`00:00:00-00:${two}`), minute, `minute of offset ${two}`);
  }
  for (const count of upTo(10)) {
    assertEquals(isTime(`00:00:00.${"5".repeat(count)}Z`), count >= 1 && count <= 9, `${count} decimals`);
  }
});

Deno.test("addresses are those that Node reads", () => {
  const four = reader("ipv4"), six = reader("ipv6");
  for (const octet of [...upTo(300), 999, 1000].flatMap((value) => [`${value}`, padded(value, 2), padded(value, 3)])) {
    for (const text of [`${octet}.0.0.0`, `1.2.3.${octet}`]) assertEquals(four(text), isIPv4(text), text);
  }
  // Groups before and after the colons that stand for zeros, at the end an address of four bytes or none.
  let good = 0;
  for (const before of upTo(9)) {
    for (const after of [-1, ...upTo(9)]) {
      for (const end of ["", "1.2.3.4", "1.2.3.256"]) {
        const groups = (count: number) => Array.from({ length: count }, (_, i) => "12aF".slice(0, 1 + i % 4));
        const last = [...groups(Math.max(after, 0)), ...end === "" ? [] : [end]];
        const text = after < 0
          ? [...groups(before), ...last].join(":")
          : `${groups(before).join(":")}::${last.join(":")}`;
        assertEquals(six(text), isIPv6(text), text);
        good += Number(six(text));
      }
    }
  }
  assertEquals(good > 40, true, `${good} addresses`);
});

Deno.test("labels of hosts have letters and digits, hyphens within, and 63 characters at most", () => {
  const isHost = reader("hostname"), isUri = reader("uri"), isEmail = reader("email");
  const all = Array.from({ length: 94 }, (_, i) => String.fromCharCode(0x21 + i)).filter((c) => c !== ".");
  for (const c of all) {
    const inner = /[A-Za-z0-9-]/.test(c), outer = inner && c !== "-";
    for (const [text, good] of [[c, outer], [`${c}a`, outer], [`a${c}`, outer], [`a${c}a`, inner]] as const) {
      assertEquals(isHost(text), good, text);
      // These end the host.
      if (!"/?#".includes(c)) assertEquals(isUri(`x://${text}.example/`), good, text);
    }
    if (outer) { for (const text of [c, `${c}a`, `a${c}`]) assertEquals(isEmail(`a@${text}.de`), true, text); }
    // A top name begins with a letter.
    if (outer) assertEquals(isUri(`x://b.a${c}/`), true, c);
  }
  for (const length of [1, 2, 3, 62, 63, 64]) {
    const label = "a".repeat(length), coded = `xn--${"a".repeat(length)}`.slice(0, length + 4), fits = length <= 63;
    for (const text of [label, `${label}.de`, `b.${label}`]) {
      assertEquals(isHost(text), fits, text);
      assertEquals(isUri(`http://${text}`), fits, text);
    }
    assertEquals(isEmail(`a@${label}.de`), fits, label);
    assertEquals(isEmail(`a@${coded}.de`), coded.length <= 63, coded);
  }
  for (const length of [58, 59, 60]) {
    const coded = `xn--${"a".repeat(length)}`;
    assertEquals(isEmail(`a@${coded}.de`), coded.length <= 63, coded);
  }
});

Deno.test("parts of uris may be empty, units have digits, and characters have a percent sign and two digits", () => {
  const isUri = reader("uri"), isDuration = reader("duration");
  for (const text of ["http://a.b?", "http://a.b/#", "http://a.b/?#"]) assertEquals(isUri(text), true, text);
  for (const text of ["PY", "P1YM", "PTS", "PT1HM"]) assertEquals(isDuration(text), false, text);
  for (const start of ["http://a.b/", "http://a.b/c?", "http://a.b/c?d#"]) {
    for (
      const [code, good] of [["%2F", true], ["%aF%09", true], ["%2", false], ["%g0", false], ["%", false]] as const
    ) {
      assertEquals(isUri(`${start}${code}`), good, `${start}${code}`);
    }
  }
});

Deno.test("UUIDs of a version have its digit, and one of the variant that has versions", () => {
  // Of these pydantic 2.14.4 takes the same as `UUID1` and so on, spelled like this.
  const digits = [..."0123456789abcdefABCDEF"];
  for (const version of [1, 3, 4, 5, 6, 7, 8]) {
    const isUuid = reader(`uuid${version}`);
    for (const digit of digits) {
      for (const variant of digits) {
        const text = `123e4567-e89b-${digit}2d3-${variant}456-426614174000`;
        assertEquals(isUuid(text), digit === `${version}` && "89abAB".includes(variant), text);
      }
    }
    const good = `123E4567-e89b-${version}2d3-a456-4266141740fF`;
    for (let at = 0; at < good.length; at++) {
      const rest = [good.slice(0, at), good.slice(at + 1)] as const, minus = good[at] === "-";
      // The digits of the version and the variant were looked at above.
      if (at !== 14 && at !== 19) assertEquals(isUuid(rest.join("0")), !minus, rest.join("0"));
      for (const other of ["", "g", "-"]) {
        assertEquals(isUuid(rest.join(other)), minus && other === "-", rest.join(other));
      }
    }
    for (const text of [`{${good}}`, `urn:uuid:${good}`, `${good}0`, ""]) assertEquals(isUuid(text), false, text);
  }
});

Deno.test("base64 is what Node writes of the bytes that it reads", () => {
  const six = [..."ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_= "];
  for (const format of ["base64", "byte", "base64url"] as const) {
    const isBase64 = reader(format), coding = format === "base64url" ? "base64url" : "base64";
    const check = (text: string) => {
      const written = Buffer.from(text, coding).toString(coding);
      // Node leaves out the `=` of base64url, as it may.
      const whole = written.padEnd(Math.ceil(written.length / 4) * 4, "=");
      assertEquals(isBase64(text), text === whole, `${format}: ${text}`);
    };
    for (const a of six) {
      for (const b of six) for (const text of [`${a}${b}==`, `A${a}${b}=`, `${a}AA${b}`, `QUJD${a}${b}==`]) check(text);
    }
    for (const length of upTo(13)) {
      for (const end of ["", "=", "==", "===", "===="]) check("A".repeat(length) + end);
    }
    for (const text of ["QQ==QQ==", "QUI=QQ==", "QQ==\n", "QU\nJD", "QQ%3D%3D"]) check(text);
  }
});

Deno.test("uris of several hosts have each with its user, password and port or without", () => {
  const isUri = reader("multi-host-uri"), host = "mongodb://", part = "a._~-%40Z9";
  // Each was given to MultiHostUrl of pydantic 2.14.4, which reads these, and not the next ones.
  for (
    const rest of [
      "a",
      "a.b:27017/x?y=z&w=majority#v",
      "a,b,c",
      "a:1,b:65535/x",
      `${part}@a`,
      `${part}:${part}@a:1`,
      `${part}:${part}@a:1,${part}@b.c,d/x`,
      "1.2.3.4,a",
    ]
  ) assertEquals(isUri(host + rest), true, rest);
  for (const rest of ["a:65536", "a:1,b:65536", "a b", "a,b c", ":1", "a,:1", "a,", ",a", "a,,b", "u@", "u@/x"]) {
    assertEquals(isUri(host + rest), false, rest);
  }
  // These it reads, as what nobody means.
  for (const rest of ["", "a,1.2.3.999", "@a", "u:@a", "u:p:q@a", "u@v@a", "a/b,c@d e"]) {
    assertEquals(isUri(host + rest), false, rest);
  }
  for (const text of ["a", "//a", "://a", "1x://a", "mongodb:a", "mongodb:/a"]) assertEquals(isUri(text), false, text);
  assertEquals(reader("uri")("mongodb://a,b"), false);
});
