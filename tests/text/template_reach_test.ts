/** What a checkpoint's chat template can get hold of: nothing of the program that runs it. */
import { InputError } from "../../src/errors.ts";
import { ChatRenderer } from "../../src/text/chat.ts";
import { Tokenizer } from "../../src/text/tokenizer.ts";
import { assertEquals, assertThrows } from "../assert.ts";
import { TINY } from "./goldens.ts";

const tokenizer = await Tokenizer.fromDirectory(TINY);

async function template(text: string): Promise<ChatRenderer> {
  const dir = await Deno.makeTempDir({ prefix: "mxoss-test-" });
  try {
    await Deno.writeTextFile(`${dir}/chat_template.jinja`, text);
    return await ChatRenderer.fromDirectory(dir, tokenizer);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

const REQUEST = { messages: [{ role: "user", content: "a" }] } as const;

/** Values that have a constructor in JavaScript, and by it the function that runs any text. */
const VALUES = ["''", "messages", "messages[0]", "namespace()", "1", "true", "none", "strftime_now", "raise_exception"];

Deno.test("a template reaches no constructor, no prototype and no global name", async () => {
  for (const value of VALUES) {
    for (const way of [`(${value}).constructor`, `(${value})['constructor']`, `(${value}).__proto__`]) {
      const chat = await template(`{% set x = ${way} %}[{{ x is defined }}]`);
      assertEquals(chat.render(REQUEST).text, "[False]", way);
      const calls = await template(`{{ ${way}.constructor('return Deno')() }}`);
      assertThrows(() => calls.render(REQUEST), InputError, "chat_template.jinja: cannot be rendered: ");
    }
  }
  for (const name of ["Deno", "globalThis", "process", "require", "Function", "eval"]) {
    assertEquals((await template(`[{{ ${name} is defined }}]`)).render(REQUEST).text, "[False]", name);
  }
  // To Jinja it is something: the template itself.
  const self = await template("[{{ self is defined }}]");
  assertThrows(() => self.render(REQUEST), InputError, "cannot be rendered: uses self, which is not known here");
});
