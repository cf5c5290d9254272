import { COMMANDS } from "../../src/cli/commands.ts";
import { denied } from "../../src/cli/denied.ts";
import { commandHelp } from "../../src/cli/help.ts";
import { assert, assertEquals } from "../assert.ts";
import { mxoss } from "./program.ts";

/** What Deno throws in a program that runs from its sources, and in one made by `deno compile`. */
const ADVICE = [
  ", run again with the --allow-KIND flag",
  ", specify the required permissions during compilation using `deno compile --allow-KIND`",
];

Deno.test("denied() names no flag of Deno's in a standalone binary", () => {
  for (const advice of ADVICE) {
    const said = (kind: string, target: string) =>
      denied(new Deno.errors.NotCapable(`Requires ${kind} access${target}${advice.replace("KIND", kind)}`), true);
    assertEquals(said("read", ' to "a, run"'), '"a, run": the program is not permitted to read it');
    assertEquals(said("write", ' to "x"'), '"x": the program is not permitted to write it');
    assertEquals(said("ffi", ' to "libc.so.6"'), '"libc.so.6": the program is not permitted to call this library');
    assertEquals(said("all", ' to "/dev/mem"'), '"/dev/mem": the program is not permitted to open it');
    assertEquals(said("net", ""), "the program is not permitted to do this (net)");
  }
  assertEquals(denied(new Deno.errors.NotCapable("no"), true), "the program is not permitted to do this");
});

Deno.test("denied() names the flag of a source run, but not all permissions at once, which would not help", () => {
  const message = 'Requires read access to "x", run again with the --allow-read flag';
  assertEquals(denied(new Deno.errors.NotCapable(message), false), `deno was started without a permission: ${message}`);
  const all = 'Requires all access to "/dev/mem", run again with the --allow-all flag';
  assertEquals(denied(new Deno.errors.NotCapable(all), false), '"/dev/mem": the program is not permitted to open it');
});

Deno.test("a special file of the system is refused without advice that would not help", async () => {
  for (const args of [["--model", "/proc/self", "hi"], ["--prompt-file", "/proc/self/environ"]]) {
    const { code, stdout, stderr } = await mxoss(args);
    assertEquals([code, stdout, stderr], [2, "", `error: "${args[1]}": the program is not permitted to open it\n`]);
  }
});

Deno.test("no help text names Deno's flags, which a standalone binary does not take", async () => {
  for (const command of COMMANDS.values()) assert(!commandHelp(await command.spec()).includes("--allow-"));
});
