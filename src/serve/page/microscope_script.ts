/**
 * The page's microscope: a reply under several schemes side by side, coloured by KL divergence; a token's alternatives
 * on a click, and on another the errors of its layers. It runs in the reader's browser.
 */

/** The script; see `common_script.ts` for what it builds on. */
export const MICROSCOPE: string = String.raw`
/** The scale of colours, in nats. */
const LEAST = 1e-6, MOST = 1;
let looking = null, seen = null;

const tokenButton = (text, index, lane) => {
  const shown = text.replaceAll("\n", "⏎\n");
  const button = make("button", { type: "button", className: "t", textContent: shown, tabIndex: -1 });
  if (/^<\|.*\|>$/s.test(text)) button.classList.add("special");
  button.dataset.index = index;
  button.dataset.lane = lane;
  button.setAttribute("aria-pressed", "false");
  button.addEventListener("click", () => choose(index));
  return button;
};
const laneElement = (name, about) => {
  const tokens = make("div", { className: "tokens", role: "group" });
  tokens.setAttribute("aria-label", name);
  const said = make("p", { className: "soft", textContent: about });
  const element = make("section", { className: "lane" }, make("h2", { textContent: name }), said, tokens);
  byId("lanes").append(element);
  return { element, said, tokens, buttons: [] };
};
const name = (index, text) => "token " + index + " " + JSON.stringify(text);

const compare = async () => {
  const models = [byId("first").value, ...others()];
  byId("look-error").textContent = "";
  if (models.length < 2) {
    byId("look-error").textContent = "Choose at least one model to compare with.";
    return;
  }
  if (looking !== null) return;
  looking = new AbortController();
  byId("compare").disabled = true;
  byId("halt").disabled = false;
  byId("lanes").replaceChildren();
  byId("detail").replaceChildren();
  byId("legend").hidden = false;
  seen = { models, prompt: [], tokens: [], compared: new Map(), lanes: [laneElement(models[0], "the reference")] };
  const given = byId("given").value, state = byId("state"), mine = seen;
  state.textContent = "The prompt is computed.";
  try {
    const response = await ask("/v1/microscope", {
      models,
      prompt: byId("prompt").value,
      raw: byId("raw").checked,
      max_tokens: Number(byId("tokens").value),
      ...(byId("raw").checked ? {} : { reasoning_effort: byId("look-effort").value }),
      ...(given ? { reply: given } : {}),
    }, looking.signal);
    for await (const { name: event, data } of eventsOf(response)) {
      if (event === "prompt") mine.prompt = data.ids;
      if (event === "token") {
        const lane = mine.lanes[0], button = tokenButton(data.text, data.index, 0);
        mine.tokens.push(data);
        button.title = name(data.index, data.text) + ": " + percent(data.probability);
        if (data.index === 0) button.tabIndex = 0;
        lane.buttons.push(button);
        lane.tokens.append(button);
        state.textContent = mine.tokens.length + " tokens";
      }
      if (event === "compared") show(data);
      if (event === "end") state.textContent = "";
    }
  } catch (thrown) {
    complain(byId("look-error"), thrown);
    state.textContent = "";
  }
  looking = null;
  byId("compare").disabled = false;
  byId("halt").disabled = true;
};

/** Another model's lane. */
const show = (data) => {
  const { tokens, lanes } = seen, lane = laneElement(data.model, ""), at = lanes.push(lane) - 1;
  seen.compared.set(data.model, data);
  data.tokens.forEach(({ kl }, index) => {
    const button = shade(tokenButton(tokens[index].text, index, at), place(kl, LEAST, MOST));
    button.title = name(index, tokens[index].text) + ": KL " + figure(kl) + " nats";
    if (index === data.first_divergence) {
      button.classList.add("parts");
      button.title += "; here this model would say something else";
    }
    button.setAttribute("aria-label", button.title);
    if (index === 0) button.tabIndex = 0;
    lane.buttons.push(button);
    lane.tokens.append(button);
  });
  const sum = data.tokens.reduce((all, { kl }) => all + kl, 0), count = data.tokens.length;
  const worst = data.tokens.reduce((most, { kl }, i) => kl > data.tokens[most].kl ? i : most, 0);
  const same = data.tokens.filter((token) => token.same_top).length;
  const parts = data.first_divergence === null ? "it would say the same" : "it parts at token " + data.first_divergence;
  lane.said.textContent = sum === 0 ? "All " + count + " predictions are those of the reference."
    : "KL to the reference: " + figure(sum) + " nats over these " + count + " tokens, the most " +
      figure(data.tokens[worst].kl) + " at token " + worst + ". The same likeliest token at " + same + " of " + count +
      "; " + parts + ".";
  if (data.own.length > 0) {
    const text = data.own.map((token) => token.text).join("");
    const about = "What it says from token " + data.first_divergence + " on:";
    const head = make("p", { className: "soft", textContent: about });
    lane.element.append(head, make("div", { className: "own", textContent: text }));
  }
};

/** Shows what the models expect at a token. */
const choose = (index) => {
  for (const { buttons } of seen.lanes) {
    buttons.forEach((button, i) => button.setAttribute("aria-pressed", String(i === index)));
  }
  const token = seen.tokens[index], detail = byId("detail"), tables = make("div", { className: "tables" });
  const layers = make("div", { id: "layers" });
  const alternatives = (model, top, probability, more) => {
    const body = make("tbody");
    for (const one of top) {
      const cell = make("td", { textContent: JSON.stringify(one.text) });
      if (one.id === token.id) cell.className = "own-choice";
      body.append(make("tr", {}, cell, make("td", { className: "r", textContent: percent(one.probability) })));
    }
    if (!top.some(({ id }) => id === token.id)) {
      const cell = make("td", { className: "own-choice", textContent: JSON.stringify(token.text) });
      body.append(make("tr", {}, cell, make("td", { className: "r", textContent: percent(probability) })));
    }
    tables.append(make("div", {}, make("h2", { textContent: model }), make("table", {}, body), ...more));
  };
  alternatives(seen.models[0], token.top, token.probability, []);
  for (const [model, { tokens }] of seen.compared) {
    const { kl, top, probability } = tokens[index];
    const button = make("button", { type: "button", textContent: "Errors by layer" });
    button.addEventListener("click", () => layersOf(model, index, layers));
    const said = make("p", { className: "soft", textContent: "KL " + figure(kl) + " nats" });
    alternatives(model, top, probability, [said, button]);
  }
  const title = "What comes after " + index + " tokens of the reply: " + JSON.stringify(token.text);
  const head = make("h2", { textContent: title });
  detail.replaceChildren(make("div", { className: "card" }, head, tables), layers);
};

/** Shows where in the pass two models differ at a token. */
const layersOf = async (model, index, where) => {
  where.replaceChildren(make("p", { className: "soft", textContent: "Computing both once more." }));
  try {
    const tokens = [...seen.prompt, ...seen.tokens.slice(0, index).map(({ id }) => id)];
    const answer = await (await ask("/v1/microscope/layers", { models: [seen.models[0], model], tokens })).json();
    const names = Object.keys(answer.layers[0].errors), head = make("tr", {}, make("th", { textContent: "layer" }));
    head.append(make("th", { textContent: "experts" }));
    for (const one of names) head.append(make("th", { textContent: one }));
    const body = make("tbody");
    for (const { layer, errors, experts: [a, b] } of answer.layers) {
      const row = make("tr", {}, make("th", { textContent: layer }));
      const changed = [...a].sort().join() !== [...b].sort().join();
      const text = changed ? a.join(" ") + " → " + b.join(" ") : a.join(" ");
      const cell = make("td", { textContent: text });
      if (changed) cell.className = "own-choice";
      row.append(cell);
      for (const one of names) {
        const error = errors[one], field = make("td", { textContent: error === null ? "" : percentError(error) });
        row.append(error === null ? field : shade(field, place(error, 1e-3, 1)));
      }
      body.append(row);
    }
    const about = "Relative error of each result against the reference, |b - a| / |a| where this token is " +
      "predicted; errors grow from layer to layer, as they do in use. Experts in bold are not the same ones.";
    const title = model + " against " + seen.models[0] + " before " + JSON.stringify(seen.tokens[index].text);
    where.replaceChildren(make("div", { className: "card" },
      make("h2", { textContent: title }),
      make("p", { className: "soft", textContent: about }),
      make("table", { className: "heat" }, make("thead", {}, head), body)));
  } catch (thrown) {
    where.replaceChildren(make("p", { role: "alert" }));
    complain(where.firstChild, thrown);
  }
};
const percentError = (x) => {
  if (x === 0) return "0";
  return (x < 1e-5 ? (100 * x).toExponential(0) : (100 * x).toPrecision(2)) + " %";
};

const others = () => [...byId("others").querySelectorAll("input:checked")].map(({ value }) => value);
byId("look").addEventListener("submit", (event) => {
  event.preventDefault();
  compare();
});
byId("halt").addEventListener("click", () => looking?.abort());
byId("first").addEventListener("change", () => {
  for (const box of byId("others").querySelectorAll("input")) {
    box.disabled = box.value === byId("first").value;
    if (box.disabled) box.checked = false;
  }
});
byId("prompt").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) byId("look").requestSubmit();
});
/** Arrows move between tokens and between lanes. */
byId("lanes").addEventListener("keydown", (event) => {
  const button = event.target.closest(".t");
  if (button === null) return;
  const index = Number(button.dataset.index), lane = Number(button.dataset.lane);
  const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
  const next = step && seen.lanes[lane + step[0]]?.buttons[index + step[1]];
  if (!next) return;
  event.preventDefault();
  button.tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
});
`;
