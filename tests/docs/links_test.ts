/** Links between pages: none leads nowhere, and the README leads to every page. */
import { assert, assertEquals } from "../assert.ts";

const ROOT = new URL("../../", import.meta.url);

function pages(folder: string): string[] {
  return [...Deno.readDirSync(new URL(folder, ROOT))].flatMap(({ name, isFile }) =>
    isFile && name.endsWith(".md") ? [`${folder}${name}`] : []
  );
}

const PAGES = [...pages("./"), ...pages("docs/"), ...pages("docs/measurements/"), "kernels/ABI.md", "wasm/ABI.md"];

/** Targets of a page's links within the repository, as paths from its root. */
function targets(page: string): string[] {
  const text = Deno.readTextFileSync(new URL(page, ROOT)).replaceAll(/^```[^]*?^```/gm, "");
  return Array.from(text.matchAll(/\]\(([^)\s]+)\)/g), ([, target]) => target!)
    .filter((target) => !/^(?:[a-z]+:|#)/.test(target))
    .map((target) => new URL(target.replace(/#.*/, ""), new URL(page, ROOT)).pathname.slice(ROOT.pathname.length));
}

Deno.test("no link of a page leads nowhere", () => {
  const links = PAGES.flatMap((page) => targets(page).map((target) => ({ page, target })));
  assert(links.length > 40, `only ${links.length} links found`);
  const broken = links.filter(({ target }) => {
    try {
      Deno.statSync(new URL(target, ROOT));
      return false;
    } catch {
      return true;
    }
  });
  assertEquals(broken, []);
});

Deno.test("the README leads to every page", () => {
  const led = new Set(targets("README.md"));
  const expected = [...pages("docs/"), "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "LICENSE"];
  assertEquals(expected.filter((page) => !led.has(page)), []);
});
