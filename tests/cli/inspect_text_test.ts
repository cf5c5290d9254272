/** What `mxoss inspect` says of chat templates: what chats refuse, it does not pass over. */
import { assertEquals, assertMatch, assertStringIncludes } from "../assert.ts";
import { BrokenCheckpoint } from "./broken.ts";
import { inProcess } from "./in_process.ts";

async function inspected(dir: string) {
  const { code, stdout, stderr } = await inProcess(["inspect", "--model", dir]);
  const json = await inProcess(["inspect", "--json", "--model", dir]);
  assertEquals([code, json.code, json.stderr], [0, 0, ""]);
  const { chat_template, warnings } = JSON.parse(json.stdout);
  assertEquals(stderr, warnings.map((line: string) => `warning: ${line}\n`).join(""));
  return { stdout, chat_template, warnings };
}

Deno.test("mxoss inspect names the chat template", async () => {
  using checkpoint = new BrokenCheckpoint();
  const template = checkpoint.path("chat_template.jinja"), config = checkpoint.path("tokenizer_config.json");
  const { stdout, chat_template, warnings } = await inspected(checkpoint.dir);
  assertEquals([chat_template, warnings], [{ source: template, problem: null }, []]);
  assertStringIncludes(stdout, `\nchat template  ${template}\n`);

  Deno.removeSync(template);
  const without = await inspected(checkpoint.dir);
  assertEquals([without.chat_template, without.warnings], [{ source: "built-in harmony", problem: null }, []]);

  Deno.writeTextFileSync(config, JSON.stringify({ chat_template: "{{ messages[0].content }}" }));
  const older = await inspected(checkpoint.dir);
  assertEquals(older.chat_template, { source: `${config}: chat_template`, problem: null });

  // Nobody reads a tokenizer's config where there is no tokenizer.
  Deno.writeTextFileSync(config, JSON.stringify({ chat_template: "{% if %}" }));
  Deno.removeSync(checkpoint.path("tokenizer.json"));
  assertEquals((await inspected(checkpoint.dir)).chat_template, { source: "built-in harmony", problem: null });
});

Deno.test("mxoss inspect says of a chat template that it cannot be read, in the words of what refuses it", async () => {
  using checkpoint = new BrokenCheckpoint();
  const path = checkpoint.path("chat_template.jinja"), config = checkpoint.path("tokenizer_config.json");
  const refused = async () => {
    const { stdout, chat_template, warnings } = await inspected(checkpoint.dir);
    const asked = await inProcess(["--model", checkpoint.dir, "--max-tokens", "1", "Hi"]);
    assertEquals([asked.code, asked.stderr], [2, `error: ${chat_template.problem}\n`]);
    assertEquals([chat_template.source, warnings], [null, [chat_template.problem]]);
    assertMatch(stdout, /^chat template +cannot be used: /m);
    assertStringIncludes(stdout, chat_template.problem);
  };
  for (const content of [new TextEncoder().encode("{% if %}"), Uint8Array.of(0xff), new Uint8Array(0)]) {
    Deno.writeFileSync(path, content);
    await refused();
  }
  Deno.removeSync(path);
  for (const content of [{ chat_template: 1 }, { chat_template: "{% if %}" }]) {
    Deno.writeTextFileSync(config, JSON.stringify(content));
    await refused();
  }
});
