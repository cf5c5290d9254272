/** Instructions and tools of a conversation in harmony, as the template of GPT-OSS has them. */
import { type ChatMessage, ChatRenderer } from "../../src/text/chat.ts";
import { Tokenizer } from "../../src/text/tokenizer.ts";
import { assertEquals } from "../assert.ts";
import { TINY } from "./goldens.ts";

const builtIn = ChatRenderer.builtIn(await Tokenizer.fromDirectory(TINY));
const TOOLS =
  "# Tools\n\n## functions\n\nnamespace functions {\n\n// F.\ntype f = () => any;\n\n} // namespace functions";

Deno.test("instructions and tools are one message of the developer, which is left out where there are none", () => {
  const tools = [{ name: "f", description: "F." }], brief = "# Instructions\n\nBe brief.\n\n";
  const cases: [content: string | null, alone: string, withTools: string][] = [
    [null, "", TOOLS],
    ["", "", TOOLS],
    ["Be brief.", brief, `${brief}${TOOLS}`],
  ];
  for (const [content, alone, withTools] of cases) {
    for (const role of ["system", "developer"] as const) {
      const first: ChatMessage[] = content === null ? [] : [{ role, content }];
      for (const [given, said] of [[[], alone], [tools, withTools]] as const) {
        const { text } = builtIn.render({ messages: [...first, { role: "user", content: "Hi" }], tools: given });
        const developer = said === "" ? "" : `<|start|>developer<|message|>${said}<|end|>`;
        const system = text.slice(0, text.indexOf("<|end|>") + "<|end|>".length);
        assertEquals(system.includes("must go to the commentary channel: 'functions'."), given.length > 0);
        assertEquals(text, `${system}${developer}<|start|>user<|message|>Hi<|end|><|start|>assistant`);
      }
    }
  }
});

Deno.test("what is said beside a call is reasoning, and stays until the answer is given", () => {
  const said = "<|start|>assistant<|channel|>analysis<|message|>Let me see.<|end|>";
  const called: ChatMessage[] = [
    { role: "user", content: "Hi" },
    { role: "assistant", content: "Let me see.", toolCalls: [{ name: "f", arguments: "{}" }] },
    { role: "tool", content: "1" },
  ];
  const text = (messages: ChatMessage[]) => builtIn.render({ messages, tools: [{ name: "f" }] }).text;
  assertEquals(text(called).split(said + "<|start|>assistant to=functions.f").length, 2);
  const answered = text([...called, { role: "assistant", content: "One." }, { role: "user", content: "And?" }]);
  assertEquals([answered.includes("Let me see."), answered.includes("One.")], [false, true]);
});
