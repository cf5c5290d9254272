/** The library in a project of its own, as docs/library.md says it is reached there. */
import { assert, assertEquals } from "../assert.ts";
import { TemporaryDirectory } from "../checkpoint/container.ts";

const ROOT = new URL("../../", import.meta.url).pathname;
const { version } = JSON.parse(Deno.readTextFileSync(`${ROOT}deno.json`)) as { readonly version: string };

Deno.test("library: a project that links the checkout, as docs/library.md has it, imports the exports", () => {
  const [, config] = /```json\n(.*)\n```/.exec(Deno.readTextFileSync(`${ROOT}docs/library.md`))!;
  assert(config!.includes(`jsr:@mxoss/mxoss@^${version}"`), config);
  using dir = new TemporaryDirectory();
  dir.write("deno.json", config!.replace("/path/to/checkout", ROOT.replace(/\/$/, "")));
  const program = dir.write(
    "main.ts",
    `import { openCheckpoint, plan } from "@mxoss/mxoss/checkpoint";
     import { qdq } from "@mxoss/mxoss/formats";
     console.log(plan(openCheckpoint(Deno.args[0]!)).scheme, qdq(Float32Array.of(448), "fp8_e4m3")[0]);\n`,
  );
  const { code, stdout, stderr } = new Deno.Command(Deno.execPath(), {
    args: ["run", "--allow-read", program, `${ROOT}models/tiny-gpt-oss`],
    cwd: dir.path,
    env: { NO_COLOR: "1" },
  }).outputSync();
  assertEquals([code, new TextDecoder().decode(stdout)], [0, "w_mxfp4 448\n"], new TextDecoder().decode(stderr));
});
