/**
 * The formats of strings as regular expressions: those of OpenAI's structured outputs, uri, OpenAPI's `byte`, and those
 * of pydantic's types. They take the usual part of what the formats' RFCs allow, which is what the types of Python's
 * clients read: no leap seconds, which only some minutes have; no quoted names and no IP addresses in emails; of uris
 * those with `://` and the name of a host.
 */

const OCTET = String.raw`(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)`;
const IPV4 = String.raw`${OCTET}(?:\.${OCTET}){3}`;
const LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?";
const HOST = String.raw`${LABEL}(?:\.${LABEL})*`;
/** Readers of URLs take what ends in a number for an address of IPv4; top names begin with letters (RFC 1123). */
const HOST_OF_URI = String.raw`(?:${IPV4}|(?:${LABEL}\.)*[A-Za-z](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)`;
const PORT = String.raw`(?:6553[0-5]|655[0-2]\d|65[0-4]\d\d|6[0-4]\d{3}|[1-5]\d{4}|\d{1,4})`;

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
 * smallest none is left out (`PT1H0M5S`, not `PT1H5S`), and weeks stand alone. All together are less than
 * 999,999,999 days, and those of the time less than 2 ** 32 seconds: more is too much for Python's timedelta, or for
 * pydantic, which makes one of a text.
 */
const DURATION = (() => {
  const part = (most: number, letter: string) => String.raw`\d{1,${most}}${letter}`;
  const year = part(6, "Y"), month = part(6, "M"), day = part(8, "D");
  const hour = part(6, "H"), minute = part(6, "M"), second = part(8, "S");
  const time = `T(?:${hour}(?:${minute}(?:${second})?)?|${minute}(?:${second})?|${second})`;
  const date = `(?:${year}(?:${month}(?:${day})?)?|${month}(?:${day})?|${day})`;
  return `P(?:${part(8, "W")}|${date}(?:${time})?|${time})`;
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

/**
 * Emails: the domain's labels have no two hyphens at their third place, which are reserved, but for `xn--` (RFC 5890),
 * and its last one ends with a letter, as all that there are do.
 */
const EMAIL = (() => {
  const atom = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]", a = "[A-Za-z0-9]", x = "[A-Za-z0-9-]";
  const label = (end: string) =>
    `(?:${end}|${a}(?:${end}|${x}(?:-?${end}|(?:-${a}|${a}${x})${x}{0,58}${end}))|[Xx][Nn]--${x}{0,58}${end})`;
  return String.raw`${atom}+(?:\.${atom}+)*@(?:${label(a)}\.)+${label("[A-Za-z]")}`;
})();

const HEX = "[0-9a-fA-F]";
/** UUIDs of a version, with the variant of RFC 9562, which alone has versions. */
const uuidOf = (version: number) => `${HEX}{8}-${HEX}{4}-${version}${HEX}{3}-[89abAB]${HEX}{3}-${HEX}{12}`;
const VERSIONS = [1, 3, 4, 5, 6, 7, 8];

/**
 * Bytes as RFC 4648 writes them: in whole groups of four characters, the bits that are left over zero. Readers differ
 * in what else they take; pydantic's base64 of `bytes` refuses other bits, its `Base64Bytes` a last group without `=`.
 *
 * @param last The characters for 62 and 63.
 * @param pad `?`: the `=` of the last group may be left out.
 */
const base64Of = (last: string, pad: "" | "?" = "") => {
  const six = `[A-Za-z0-9${last}]`;
  return `(?:${six}{4})*(?:${six}[AQgw](?:==)${pad}|${six}{2}[AEIMQUYcgkosw048]=${pad})?`;
};

/** The path, query and fragment of a uri. */
const AFTER_HOST = String.raw`(?:/(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})*)*` +
  String.raw`(?:\?(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*)?` +
  String.raw`(?:#(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*)?`;
const SCHEME = String.raw`[A-Za-z][A-Za-z0-9+.-]*://`;
const PLACE = `${HOST_OF_URI}(?::${PORT})?`;
/** Several hosts of a database, each with a user and a password or none. */
const HOSTS = (() => {
  const name = "(?:[A-Za-z0-9._~-]|%[0-9A-Fa-f]{2})+", place = `(?:${name}(?::${name})?@)?${PLACE}`;
  return `${place}(?:,${place})*`;
})();

const wholes = (sources: Readonly<Record<string, string>>): ReadonlyMap<string, string> =>
  new Map(Object.entries(sources).map(([name, source]) => [name, `^(?:${source})$`]));

/** Patterns by format; each is of the whole text. */
export const FORMATS: ReadonlyMap<string, string> = wholes({
  "date": DATE,
  "time": TIME,
  "date-time": `${DATE}T${TIME}`,
  "duration": DURATION,
  "email": EMAIL,
  "hostname": HOST,
  "ipv4": IPV4,
  "ipv6": IPV6,
  "uuid": `${HEX}{8}(?:-${HEX}{4}){3}-${HEX}{12}`,
  ...Object.fromEntries(VERSIONS.map((version) => [`uuid${version}`, uuidOf(version)])),
  "base64": base64Of("+/"),
  "base64url": base64Of("_-"),
  "byte": base64Of("+/"),
  "uri": `${SCHEME}${PLACE}${AFTER_HOST}`,
  "multi-host-uri": `${SCHEME}${HOSTS}${AFTER_HOST}`,
});

/** The same where a `pattern` beside the format says which spelling is meant: zod's `base64url` is one without `=`. */
export const BESIDE_PATTERN: ReadonlyMap<string, string> = wholes({ "base64url": base64Of("_-", "?") });

/** Formats of zod that are what the pattern says that it writes beside them. */
export const PATTERNED: ReadonlySet<string> = new Set(
  ["nanoid", "cuid", "cuid2", "ulid", "xid", "ksuid", "cidrv4", "cidrv6", "e164", "mac", "hex", "emoji"],
);

/** Characters of the longest text of a format, where its pattern does not say so. */
export const LONGEST: ReadonlyMap<string, number> = new Map([["email", 254], ["hostname", 253]]);

/** Formats that any text is of: OpenAPI's `password` and `binary`, and pydantic's `path`, of which none need exist. */
export const UNBOUND: ReadonlySet<string> = new Set(["password", "binary", "path"]);
