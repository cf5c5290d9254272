/**
 * The formats of strings as regular expressions: those of OpenAI's structured outputs, and uri. They take the usual
 * part of what the formats' RFCs allow: no leap seconds, which only some minutes have; no quoted names and no IP
 * addresses in emails; of uris those with `://` and the name of a host.
 */

const OCTET = String.raw`(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)`;
const IPV4 = String.raw`${OCTET}(?:\.${OCTET}){3}`;
const LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?";
const HOST = String.raw`${LABEL}(?:\.${LABEL})*`;

/** Days that there are, as `2024-02-29`. The year 0, of which RFC 3339 speaks, is none to Python and databases. */
const DATE = (() => {
  const day = String.raw`(?:0[1-9]|[12]\d|3[01])`, shorter = String.raw`(?:0[1-9]|[12]\d|30)`;
  const february = String.raw`02-(?:0[1-9]|1\d|2[0-8])`, fours = "0[48]|[2468][048]|[13579][26]";
  const year = String.raw`(?:\d{3}[1-9]|\d\d[1-9]0|\d[1-9]00|[1-9]000)`;
  const leap = String.raw`(?:\d\d(?:${fours})|(?:${fours})00)-02-29`;
  return `(?:${year}-(?:(?:0[13578]|1[02])-${day}|(?:0[469]|11)-${shorter}|${february})|${leap})`;
})();
const HOUR = String.raw`(?:[01]\d|2[0-3])`;
const TIME = String.raw`${HOUR}:[0-5]\d:[0-5]\d(?:\.\d{1,9})?(?:Z|[+-]${HOUR}:[0-5]\d)`;

/**
 * Durations by the grammar in appendix A of RFC 3339, which JSON Schema names: between the largest unit and the
 * smallest none is left out (`PT1H0M5S`, not `PT1H5S`), and weeks stand alone.
 */
const DURATION = (() => {
  const part = (letter: string) => String.raw`\d{1,9}${letter}`;
  const [year, month, day, hour, minute, second] = ["Y", "M", "D", "H", "M", "S"].map(part);
  const time = `T(?:${hour}(?:${minute}(?:${second})?)?|${minute}(?:${second})?|${second})`;
  const date = `(?:${year}(?:${month}(?:${day})?)?|${month}(?:${day})?|${day})`;
  return `P(?:${part("W")}|${date}(?:${time})?|${time})`;
})();

const IPV6 = (() => {
  const group = "[0-9a-fA-F]{1,4}", last = `(?:${group}:${group}|${IPV4})`;
  const forms = [`(?:${group}:){6}${last}`, `::(?:${group}:){5}${last}`];
  for (let before = 1; before <= 7; before++) {
    const start = before === 1 ? `(?:${group})?` : `(?:(?:${group}:){0,${before - 1}}${group})?`;
    const rest = 5 - before;
    if (rest >= 0) forms.push(`${start}::${rest === 0 ? "" : `(?:${group}:){${rest}}`}${last}`);
    else forms.push(`${start}::${before === 6 ? group : ""}`);
  }
  return forms.join("|");
})();

const ATOM = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+";

/** Patterns by format; each is of the whole text. */
export const FORMATS: ReadonlyMap<string, string> = new Map(
  Object.entries({
    "date": DATE,
    "time": TIME,
    "date-time": `${DATE}T${TIME}`,
    "duration": DURATION,
    "email": String.raw`${ATOM}(?:\.${ATOM})*@(?:${LABEL}\.)+${LABEL}`,
    "hostname": HOST,
    "ipv4": IPV4,
    "ipv6": IPV6,
    "uuid": "[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}",
    "uri": String.raw`[A-Za-z][A-Za-z0-9+.-]*://${HOST}(?::\d{1,5})?` +
      String.raw`(?:/(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})*)*` +
      String.raw`(?:\?(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*)?` +
      String.raw`(?:#(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*)?`,
  }).map(([name, source]) => [name, `^(?:${source})$`]),
);

/** Characters of the longest text of a format, where its pattern does not say so. */
export const LONGEST: ReadonlyMap<string, number> = new Map([["hostname", 253]]);
