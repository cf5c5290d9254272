/**
 * What a constraint costs for each token of a reply, with gpt-oss's vocabulary: the first time that a schema is asked
 * for, and after that. Processor time of this thread.
 *
 *     deno run -A bench/constraint.ts
 */
import { Constraint, TokenMasks } from "../src/grammar/mask.ts";
import { Matcher } from "../src/grammar/matcher.ts";
import { schemaGrammar } from "../src/grammar/schema.ts";
import { Vocabulary } from "../src/grammar/vocabulary.ts";
import { Tokenizer } from "../src/text/tokenizer.ts";

/** Milliseconds of processor time so far. */
const now = () => Number(Deno.readTextFileSync("/proc/thread-self/schedstat").split(" ")[0]) / 1e6;

const address = {
  type: "object",
  properties: { street: { type: "string" }, zip: { type: "string", pattern: "^\\d{5}$" } },
  required: ["street", "zip"],
  additionalProperties: false,
};
const schema = {
  type: "object",
  properties: {
    name: { type: "string", maxLength: 100 },
    age: { type: "integer", minimum: 0, maximum: 150 },
    email: { anyOf: [{ type: "string", format: "email" }, { type: "null" }] },
    tags: { type: "array", items: { enum: ["new", "old", "borrowed"] }, maxItems: 5 },
    addresses: { type: "array", items: address },
    friend: { anyOf: [{ $ref: "#" }, { type: "null" }] },
  },
  required: ["name", "age", "email", "tags", "addresses", "friend"],
  additionalProperties: false,
};
const value = (friend: unknown) => ({
  name: "Jörg Müller",
  age: 42,
  email: "joerg@example.org",
  tags: ["new", "borrowed"],
  addresses: [{ street: 'Am "Alten" Markt 3', zip: "04109" }, { street: "Ring 7", zip: "10115" }],
  friend,
});

const tokenizer = await Tokenizer.o200kHarmony(), ids = tokenizer.encode(JSON.stringify(value(value(null))));
let start = now(), matcher: Matcher | undefined;
const masks = new TokenMasks(new Vocabulary(tokenizer));
console.log(`vocabulary, once: ${(now() - start).toFixed(0)} ms`);
// Replies of known masks are timed together: the clock of processor time ticks every few milliseconds only.
for (const [what, replies] of [["first time", 1], ["again", 100]] as const) {
  start = now();
  matcher ??= new Matcher(schemaGrammar(schema, "schema"), "schema");
  const made = now() - start, logits = new Float32Array(201_088);
  start = now();
  for (let i = 0; i < replies; i++) {
    const constraint = new Constraint(masks, matcher);
    for (const id of ids) {
      constraint.apply(logits);
      constraint.push(id);
    }
  }
  const each = (now() - start) / (replies * ids.length);
  console.log(`${what}: grammar ${made.toFixed(0)} ms, ${ids.length} tokens, ${each.toPrecision(2)} ms each`);
}
