/**
 * What both halves of the page use: elements, requests, server-sent events, numbers. It runs in the reader's browser.
 */

/** The script. Text of models is only ever set as text, never as HTML. */
export const COMMON: string = String.raw`
"use strict";
const byId = (id) => document.getElementById(id);
/** An element with properties, and children that are elements or text. */
const make = (tag, properties = {}, ...children) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
};
const option = (value) => make("option", { value, textContent: value });

/** A number as text: three digits from 0.001 on, two digits and an exponent below. */
const figure = (x) => x === 0 ? "0" : x >= 0.001 ? String(Number(x.toPrecision(3))) : x.toExponential(1);
const percent = (p) => p > 0.999 ? "> 99.9 %" : p < 0.001 ? "< 0.1 %" : (100 * p).toFixed(1) + " %";
/** Place of a number on a logarithmic scale, 0 to 100. */
const place = (x, least, most) =>
  x > 0 ? Math.max(0, Math.min(100, 100 * Math.log(x / least) / Math.log(most / least))) : 0;
/** Colours an element by that. */
const shade = (element, at) => {
  element.style.setProperty("--v", at.toFixed(0) + "%");
  element.classList.toggle("hi", at > 55);
  return element;
};

const headers = () => {
  const key = byId("key").value;
  return { "content-type": "application/json", ...(key ? { authorization: "Bearer " + key } : {}) };
};
/** Asks; throws an error with the server's own line. */
const ask = async (path, body, signal) => {
  const response = await fetch(path, body === undefined
    ? { headers: headers(), signal }
    : { method: "POST", headers: headers(), body: JSON.stringify(body), signal });
  if (response.ok) return response;
  if (response.status === 401) {
    byId("key-form").hidden = false;
    byId("key").focus();
  }
  const text = await response.text();
  let message = text;
  try { message = JSON.parse(text).error.message; } catch { /* the text is all there is */ }
  throw new Error(message || "status " + response.status);
};
/** Events of a stream, as they come: their names and their data. */
async function* eventsOf(response) {
  const reader = response.body.getReader(), decoder = new TextDecoder();
  let rest = "";
  while (true) {
    const { done, value } = await reader.read();
    rest += done ? decoder.decode() : decoder.decode(value, { stream: true });
    const blocks = rest.split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      let name = "", data = "";
      for (const line of block.split("\n")) {
        if (line.startsWith("event: ")) name = line.slice(7);
        if (line.startsWith("data: ")) data += line.slice(6);
      }
      if (data === "" || data === "[DONE]") continue;
      const parsed = JSON.parse(data);
      if (parsed.error) throw new Error(parsed.error.message);
      yield { name, data: parsed };
    }
    if (done) return;
  }
}
const complain = (where, thrown) => {
  if (thrown.name === "AbortError") return;
  // A request that never got an answer is a TypeError.
  where.textContent = (thrown.name === "TypeError" ? "The server does not answer: " : "") + thrown.message;
};
`;
