/** What the package exports is documented: in the sources, and on docs/library.md. */
import { assert, assertEquals } from "../assert.ts";

const ROOT = new URL("../../", import.meta.url);
const { name, exports } = JSON.parse(Deno.readTextFileSync(new URL("deno.json", ROOT))) as {
  readonly name: string;
  readonly exports: Readonly<Record<string, string>>;
};

function deno(...args: readonly string[]): { readonly code: number; readonly out: string; readonly err: string } {
  const { code, stdout, stderr } = new Deno.Command(Deno.execPath(), { args: [...args], cwd: ROOT }).outputSync();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, out: text(stdout), err: text(stderr) };
}

Deno.test("library: deno doc --lint finds nothing to say about the exports", () => {
  const { code, err } = deno("doc", "--lint", ...Object.values(exports));
  assertEquals(code, 0, err);
});

Deno.test("library: an export without documentation would be found", () => {
  const dir = Deno.makeTempDirSync();
  try {
    Deno.writeTextFileSync(`${dir}/planted.ts`, "export const planted: number = 1;\n");
    const { code, err } = deno("doc", "--lint", `${dir}/planted.ts`);
    assertEquals(code, 1);
    assert(err.includes("missing-jsdoc"), err);
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
});

/** A tag of a JSDoc comment, as `deno doc --json` has it. */
interface Tag {
  readonly kind: string;
  readonly name?: string;
}
/** A symbol, as `deno doc --json` has it. */
interface Documented {
  readonly name: string;
  readonly declarations: readonly {
    readonly kind: string;
    readonly jsDoc?: { readonly tags?: readonly Tag[] };
    readonly def?: {
      readonly params?: readonly { readonly name?: string; readonly left?: { readonly name: string } }[];
    };
  }[];
}

/** What a module exports, types apart. */
function valuesOf(path: string): Documented[] {
  const { out, err, code } = deno("doc", "--json", path);
  assertEquals(code, 0, err);
  const { nodes } = JSON.parse(out) as { nodes: Record<string, { symbols: Documented[] }> };
  const symbols = Object.values(nodes).flatMap((module) => module.symbols);
  return symbols.filter(({ declarations }) =>
    declarations.some(({ kind }) => ["function", "class", "variable"].includes(kind))
  );
}

const pages = Deno.readTextFileSync(new URL("docs/library.md", ROOT)).split(/^## /m).slice(1);

for (const [entry, path] of Object.entries(exports)) {
  const specifier = name + entry.slice(1);
  Deno.test(`library: docs/library.md names what ${specifier} exports, and each has an example`, () => {
    const page = pages.find((text) => text.startsWith(`\`${specifier}\`\n`));
    assert(page !== undefined, `no section about ${specifier}`);
    const items = page.split("\n").filter((line) => line.startsWith("- ")).join("\n");
    const listed = [...items.matchAll(/(?<=^- |\band )`(\w+)`/gm)].map(([, item]) => item!).sort();
    const values = valuesOf(path);
    assertEquals(listed, values.map((symbol) => symbol.name).sort());
    for (const { name, declarations: [declaration] } of values) {
      const tags = declaration!.jsDoc?.tags ?? [], has = (kind: string) => tags.some((tag) => tag.kind === kind);
      assert(has("example"), `${name} has no @example`);
      if (declaration!.kind !== "function") continue;
      assert(has("throws"), `${name} has no @throws`);
      const params = (declaration!.def?.params ?? []).map((param) => param.name ?? param.left?.name);
      assertEquals(tags.filter(({ kind }) => kind === "param").map((tag) => tag.name), params, name);
    }
  });
}
