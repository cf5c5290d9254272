/** The page's chat: turns are streamed, with the channels of a reply apart. It runs in the reader's browser. */

/** The script; see `common_script.ts` for what it builds on. */
export const CHAT: string = String.raw`
let turns = [], answering = null;

const turnElement = (role) => {
  const element = make("div", { className: "said " + role });
  byId("log").append(element);
  return element;
};
const bottom = () => scrollTo({ top: document.body.scrollHeight });

const send = async () => {
  const text = byId("message").value;
  if (text.trim() === "" || answering !== null) return;
  answering = new AbortController();
  // What comes of an answer that is cut off by a new chat belongs to the old one.
  const own = turns;
  byId("send").disabled = true;
  byId("stop").disabled = false;
  byId("chat-error").textContent = "";
  const said = turnElement("user");
  said.append(text);
  byId("message").value = "";
  const system = byId("system").value;
  const reply = turnElement("assistant"), thought = make("div"), content = make("div"), calls = make("div");
  const summary = make("summary", { textContent: "thinking" }), details = make("details", {}, summary, thought);
  const state = make("span", { className: "soft", textContent: "waiting" });
  details.hidden = true;
  reply.append(details, content, calls, state);
  bottom();
  const began = performance.now(), named = new Map();
  let answer = "", reasoning = "", finish = null, usage = null;
  try {
    const response = await ask("/v1/chat/completions", {
      model: byId("model").value,
      messages: [...(system ? [{ role: "system", content: system }] : []), ...own, { role: "user", content: text }],
      stream: true,
      stream_options: { include_usage: true },
      temperature: Number(byId("temperature").value),
      reasoning_effort: byId("effort").value,
    }, answering.signal);
    for await (const { data } of eventsOf(response)) {
      if (data.usage) usage = data.usage;
      const choice = data.choices[0];
      if (choice === undefined) continue;
      const { delta } = choice, thinks = delta.reasoning_content ?? delta.reasoning;
      if (thinks) {
        reasoning += thinks;
        details.hidden = false;
        thought.textContent = reasoning;
      }
      if (delta.content) {
        answer += delta.content;
        content.textContent = answer;
        summary.textContent = "thought";
      }
      for (const call of delta.tool_calls ?? []) {
        const known = named.get(call.index) ?? { name: "", text: "" };
        known.name += call.function?.name ?? "";
        known.text += call.function?.arguments ?? "";
        named.set(call.index, known);
        calls.textContent = [...named.values()].map(({ name, text }) => name + "(" + text + ")").join("\n");
      }
      if (choice.finish_reason) finish = choice.finish_reason;
      state.textContent = answer ? "answering" : "thinking";
      bottom();
    }
  } catch (thrown) {
    complain(byId("chat-error"), thrown);
    finish ??= thrown.name === "AbortError" ? "stopped" : "failed";
  }
  const seconds = (performance.now() - began) / 1000;
  const count = usage === null ? "" : usage.completion_tokens + " tokens in " + seconds.toFixed(1) + " s, ";
  state.textContent = byId("model").value + ": " + count + (finish ?? "ended");
  if (answer !== "") own.push({ role: "user", content: text }, { role: "assistant", content: answer });
  else if (finish === "failed") {
    said.remove();
    reply.remove();
    byId("message").value = text;
  }
  answering = null;
  byId("send").disabled = false;
  byId("stop").disabled = true;
  byId("message").focus();
};

byId("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  send();
});
byId("message").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  send();
});
byId("stop").addEventListener("click", () => answering?.abort());
byId("clear").addEventListener("click", () => {
  answering?.abort();
  turns = [];
  byId("log").replaceChildren();
  byId("message").focus();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") answering?.abort();
});
`;
