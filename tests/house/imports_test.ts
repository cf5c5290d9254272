/** Every arrow runs down: the never-list of imports, held against the code. */
import { assert, assertEquals } from "../assert.ts";
import { circles, floorOf, PAGE, picture, readImports, roomOf, withPicture } from "../../tools/rooms.ts";

const imports = readImports();

Deno.test("imports: every module stands in a room that is known", () => {
  assert(imports.length > 500, `only ${imports.length} imports found`);
  const strays = new Set(imports.flatMap(({ from, to }) => [from, to]).filter((path) => floorOf(roomOf(path)) < 0));
  assertEquals([...strays], []);
});

Deno.test("imports: no room imports from its own floor or from above", () => {
  const up = imports.filter(({ from, to }) =>
    roomOf(from) !== roomOf(to) && floorOf(roomOf(to)) >= floorOf(roomOf(from))
  );
  assertEquals(up.map(({ from, to }) => `${from} imports ${to}`), []);
});

Deno.test("imports: no modules import each other in a circle, types included", () => {
  assertEquals(circles(imports), []);
});

Deno.test("imports: benches stand on tools, and no tool on a bench", () => {
  const scripts = readImports(["tools/", "bench/"]), tools = scripts.filter(({ from }) => from.startsWith("tools/"));
  assert(tools.length > 50 && scripts.some(({ from, to }) => from.startsWith("bench/") && to.startsWith("tools/")));
  assertEquals(tools.filter(({ to }) => to.startsWith("bench/")), []);
  assertEquals(circles(scripts), []);
});

Deno.test("imports: an arrow that runs up and a circle would be found", () => {
  const planted = [
    { from: "src/formats/a.ts", to: "src/formats/b.ts" },
    { from: "src/formats/b.ts", to: "src/formats/a.ts" },
    { from: "src/formats/c.ts", to: "src/formats/a.ts" },
  ];
  assertEquals(circles(planted), [["src/formats/a.ts", "src/formats/b.ts"]]);
  assert(floorOf(roomOf("src/plan/plan.ts")) > floorOf(roomOf("src/checkpoint/source.ts")));
});

Deno.test("imports: the picture in docs/architecture.md is drawn from them", () => {
  const page = Deno.readTextFileSync(PAGE), drawn = picture(imports);
  assert(drawn.includes("-->") && page.includes(drawn), "the page has no picture, or an old one");
  assertEquals(
    page,
    withPicture(page, drawn),
    "draw it anew: deno run --allow-read --allow-write=docs tools/rooms.ts",
  );
});
