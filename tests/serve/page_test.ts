import { PAGE } from "../../src/serve/page/page.ts";
import { assert, assertEquals } from "../assert.ts";
import { openServing } from "./serving.ts";

Deno.test("the page names no other machine, and lets a browser ask this one only", () => {
  assertEquals(PAGE.match(/(?:https?:)?\/\/[a-z0-9]/gi), null);
  assertEquals(PAGE.match(/\b(?:src|href)="(?!data:)[^"]*"/g), null);
  assert(PAGE.includes("default-src 'none'") && PAGE.includes("connect-src 'self'"));
  assert(!PAGE.includes("innerHTML") && !PAGE.includes("eval("), "text of models is set as text");
});

Deno.test("every element that the page's scripts look for is there once, and every control has a name", () => {
  const ids = [...PAGE.matchAll(/ id="([^"]+)"/g)].map(([, id]) => id!);
  assertEquals(ids.length, new Set(ids).size);
  const wanted = new Set([...PAGE.matchAll(/byId\("([^"]+)"\)/g)].map(([, id]) => id!));
  for (const id of wanted) assert(ids.includes(id), `no element ${id}`);
  assert(wanted.size > 20);
  for (const [tag] of PAGE.matchAll(/<textarea[^>]*>/g)) assert(tag.includes("aria-label="), tag);
  for (const [control] of PAGE.matchAll(/(?:<label>[^<]*)?<(?:select|input)[^>]*>/g)) {
    assert(control.startsWith("<label>"), control);
  }
});

Deno.test("the page is handed out without a key, and what it asks for is not", async () => {
  await using serving = await openServing({ slots: 1, context: 32, apiKeys: ["secret"] });
  const page = await serving.app.fetch(new Request("http://localhost/"));
  assertEquals([page.status, page.headers.get("content-type")], [200, "text/html; charset=utf-8"]);
  assertEquals(await page.text(), PAGE);
  for (const path of ["/v1/microscope", "/v1/microscope/layers"]) {
    assertEquals((await serving.post(path, {})).status, 401, path);
  }
});
