import { COMMANDS } from "../../src/cli/commands.ts";
import { assertEquals, assertMatch, assertStringIncludes } from "../assert.ts";
import { inProcess } from "./in_process.ts";
import { mxoss } from "./program.ts";

Deno.test("mxoss --help names the commands and the exit codes", async () => {
  for (const args of [["--help"], ["-h"]]) {
    const { code, stdout, stderr } = await mxoss(args);
    assertEquals({ code, stderr }, { code: 0, stderr: "" });
    for (const name of COMMANDS.keys()) assertStringIncludes(stdout, `  ${name} `);
    assertStringIncludes(stdout, "130 interrupted");
  }
});

for (const name of COMMANDS.keys()) {
  Deno.test(`mxoss ${name} --help names every option`, async () => {
    const { code, stdout, stderr } = await inProcess([name, "--help"]);
    assertEquals({ code, stderr }, { code: 0, stderr: "" });
    assertStringIncludes(stdout, `usage: mxoss ${name} [OPTIONS]`);
    const { options } = await COMMANDS.get(name)!.spec();
    for (const option of Object.keys(options)) assertMatch(stdout, new RegExp(`^  --${option} `, "m"));
  });
}

Deno.test("mxoss --version prints deno.json's version, the revision and the hashes of compiled code", async () => {
  const root = new URL("../../", import.meta.url);
  const { version } = JSON.parse(Deno.readTextFileSync(new URL("deno.json", root)));
  const sha256 = async (path: string) =>
    new Uint8Array(await crypto.subtle.digest("SHA-256", Deno.readFileSync(new URL(path, root)))).toHex();
  const lines = (await mxoss(["--version"])).stdout.split("\n");
  assertEquals(lines[0], `mxoss ${version}`);
  assertMatch(lines[1]!, /^revision: ([0-9a-f]{40}(-dirty)?|unknown)$/);
  assertEquals(lines[2], `wasm: sha256 ${await sha256("wasm/pkg/mxoss_kernels_bg.wasm")}`);
  assertEquals(lines[3], `gpu kernels: sha256 ${await sha256("kernels/build/manifest.json")} (of their manifest)`);
});

Deno.test("mxoss without --allow-read names the permission in one line", async () => {
  const main = new URL("../../main.ts", import.meta.url).pathname;
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", main, "Hi"],
    stdin: "null",
    env: { NO_COLOR: "1" },
  }).output();
  const text = new TextDecoder().decode(stderr);
  assertMatch(text, /^error: deno was started without a permission: [^\n]*--allow-read[^\n]*\n$/);
  assertEquals([code, stdout.length], [2, 0]);
});

Deno.test("MXOSS_TRACE=1 shows where an error was raised", async () => {
  const { code, stderr } = await mxoss(["--model", "/nowhere", "hi"], { env: { MXOSS_TRACE: "1" } });
  assertEquals(code, 2);
  assertMatch(stderr, /^InputError: .*\n +at .*\.ts:/);
  assertMatch(stderr, /\nerror: \/nowhere: [^\n]+\n$/);
});
