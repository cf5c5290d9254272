import { COMMANDS } from "../../src/cli/commands.ts";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "../assert.ts";
import { mxoss, program } from "./program.ts";

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
    const { code, stdout, stderr } = await mxoss([name, "--help"]);
    assertEquals({ code, stderr }, { code: 0, stderr: "" });
    assertStringIncludes(stdout, `usage: mxoss ${name} [OPTIONS]`);
    const { options } = await COMMANDS.get(name)!.spec();
    for (const option of Object.keys(options)) assertMatch(stdout, new RegExp(`^  --${option} `, "m"));
  });
}

Deno.test("mxoss --version prints deno.json's version", async () => {
  const { version } = JSON.parse(Deno.readTextFileSync(new URL("../../deno.json", import.meta.url)));
  assertEquals((await mxoss(["--version"])).stdout, `mxoss ${version}\n`);
});

Deno.test("mxoss without --allow-read names the permission in one line", async () => {
  const main = new URL("../../main.ts", import.meta.url).pathname;
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", main, "hi"],
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

Deno.test("mxoss --help into a closed pipe ends quietly", async () => {
  const child = program(["--help"]).spawn();
  await child.stdin.close();
  await child.stdout.cancel();
  const stderr = await new Response(child.stderr).text();
  const { code } = await child.status;
  assert(code === 0 && stderr === "", `${code} ${stderr}`);
});
