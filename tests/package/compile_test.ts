import { parse, publish } from "../../tools/compile.ts";
import { assertEquals, assertRejects } from "../assert.ts";
import { TARGETS } from "../../tools/package/deno_compile.ts";
import { inRepository } from "../../tools/package/files.ts";
import { inDirectory } from "./process.ts";

const names = (dir: string) => [...Deno.readDirSync(dir)].map(({ name }) => name).sort();

Deno.test("publish() replaces what is there, links too, and writes through none", () =>
  inDirectory(async (dir) => {
    await Deno.writeTextFile(`${dir}/precious`, "precious");
    // Names that another user could guess before.
    for (const name of ["out", "out.sha256", `out.${Deno.pid}.partial`]) {
      await Deno.symlink("precious", `${dir}/${name}`);
    }
    await publish(`${dir}/out`, (path) => Deno.writeTextFile(path, "new", { mode: 0o755 }));
    assertEquals(await Deno.readTextFile(`${dir}/precious`), "precious");
    assertEquals(await Deno.readTextFile(`${dir}/out`), "new");
    assertEquals((await Deno.lstat(`${dir}/out`)).mode! & 0o777, 0o755);
    const hash = "11507a0e2f5e69d5dfa40a62a1bd7b6ee57e6bcd85c67c9b8431b36fff21c437";
    assertEquals(await Deno.readTextFile(`${dir}/out.sha256`), `${hash}  out\n`);
    assertEquals(names(dir), ["out", `out.${Deno.pid}.partial`, "out.sha256", "precious"].sort());
  }));

Deno.test("publish() leaves what is there and nothing else when the file cannot be made", () =>
  inDirectory(async (dir) => {
    await Deno.writeTextFile(`${dir}/out`, "old");
    const failing = async (path: string) => {
      await Deno.writeTextFile(path, "half");
      throw new Error("no denort");
    };
    await assertRejects(() => publish(`${dir}/out`, failing), Error, "no denort");
    assertEquals([names(dir), await Deno.readTextFile(`${dir}/out`)], [["out"], "old"]);
  }));

Deno.test("parse() reads the command line, or refuses it", () => {
  const dist = inRepository("dist/mxoss");
  assertEquals(parse([]), { tried: ["deno-compile", "self-extracting"], out: dist });
  assertEquals(parse(["--variant", "self-extracting", "--out=x"]), { tried: ["self-extracting"], out: "x" });
  for (const target of TARGETS) {
    const out = target === "x86_64-pc-windows-msvc" ? `${dist}.exe` : dist;
    assertEquals(parse(["--target", target]), { tried: ["deno-compile"], target, out });
  }
  const wrong = [["x"], ["--variant=x"], ["--target=riscv"], ["--target", TARGETS[0], "--variant=self-extracting"]];
  wrong.push(["--other"], ["--out"], ["--out="], ["--out", "--variant=auto"]);
  for (const args of wrong) assertEquals(parse(args), null, args.join(" "));
});

Deno.test("the release builds for every target of deno compile, with this version of Deno", () => {
  const text = Deno.readTextFileSync(inRepository(".github/workflows/release.yml"));
  const built = [...text.matchAll(/^ +- target: (\S+)$/gm)].map(([, target]) => target);
  assertEquals(built, [...TARGETS]);
  const ci = Deno.readTextFileSync(inRepository(".ci/run"));
  const versions = (text: string) => new Set([...text.matchAll(/\bdeno@([\d.]+)/g)].map(([, version]) => version));
  assertEquals(versions(text), versions(ci));
});
