/** Which reasoning of a conversation stays in its prompt. */
import { type HarmonyMessage, renderHarmony, segmentsText } from "../../src/text/harmony_render.ts";
import { assert, assertEquals } from "../assert.ts";

const user = (content: string): HarmonyMessage => ({ role: "user", content });
const assistant = (channel: string, content: string): HarmonyMessage => ({ role: "assistant", channel, content });

Deno.test("renderHarmony() drops the reasoning of every answered turn, not of the first alone", () => {
  const turn = (n: number) => [user(`q${n}`), assistant("analysis", `thought${n}`), assistant("final", `a${n}`)];
  const text = segmentsText(renderHarmony([...turn(1), ...turn(2), user("q3")]));
  assert(!text.includes("thought"), text);
});

Deno.test("renderHarmony() keeps the reasoning of an answer that is the end itself, and of no other", () => {
  const turn = [user("q"), assistant("analysis", "thought"), assistant("final", "a")];
  const keeps = (messages: HarmonyMessage[], purpose: "prompt" | "history" | "training") =>
    segmentsText(renderHarmony(messages, { purpose })).includes("thought");
  assertEquals([keeps(turn, "history"), keeps(turn, "training"), keeps(turn, "prompt")], [true, true, false]);
  const asked = [...turn, user("q2")];
  assertEquals([keeps(asked, "history"), keeps(asked, "training"), keeps(asked, "prompt")], [false, false, false]);
});
