/** Commits that pages say figures come from: each is one of this repository's, so that the figure can be made again. */
import { assertEquals } from "../assert.ts";

const ROOT = new URL("../../", import.meta.url);
const PAGES = ["./", "docs/", "docs/measurements/", "kernels/", "wasm/"].flatMap((folder) =>
  [...Deno.readDirSync(new URL(folder, ROOT))].filter(({ name }) => name.endsWith(".md")).map(({ name }) =>
    folder + name
  )
);
/** Seven or eight digits, with a letter and a number, as git shortens hashes: `a33d2bc`, `1b435dd2`. */
const HASH = /(?<![\w.-])(?=[a-f\d]*[a-f])(?=[a-f\d]*\d)[a-f\d]{7,8}(?![\w.-]*[\w-])/g;

/** Commits that a page names, blocks of code apart. */
const named = (page: string) => [...page.replaceAll(/^ *```[^]*?^ *```/gm, "").matchAll(HASH)].map(([hash]) => hash);

async function git(...args: string[]): Promise<string | null> {
  try {
    const { success, stdout } = await new Deno.Command("git", { args, cwd: ROOT, stderr: "null" }).output();
    return success ? new TextDecoder().decode(stdout).trim() : null;
  } catch (thrown) {
    if (thrown instanceof Deno.errors.NotFound) return null;
    throw thrown;
  }
}

/** Whether this folder is a repository of its own, with all its history. */
const whole = await git("rev-parse", "--show-prefix", "--is-shallow-repository") === "false";

Deno.test({
  name: `commits that pages name are in the history${whole ? "" : " (skipped: there is none, or a part of it)"}`,
  ignore: !whole,
  fn: async () => {
    const history = (await git("log", "--format=%H"))!.split("\n");
    const missing = PAGES.flatMap((name) =>
      named(Deno.readTextFileSync(new URL(name, ROOT)))
        .filter((hash) => !history.some((commit) => commit.startsWith(hash))).map((hash) => `${name}: ${hash}`)
    );
    assertEquals(missing, []);
  },
});

Deno.test("commits are found in a page's text, and neither in blocks of code nor in words", () => {
  assertEquals(named("at commit 6f7eebf, and 1b435dd2; 19cb6eeb.\n"), ["6f7eebf", "1b435dd2", "19cb6eeb"]);
  assertEquals(named("decade 1234567 gfx90a 0x1abcdef0 a0e8e1c5-8f83\n```text\nchecksum 3e1f7a90\n```\n"), []);
});
