import { COMMANDS } from "../../src/cli/commands.ts";
import { denied } from "../../src/cli/denied.ts";
import { commandHelp } from "../../src/cli/help.ts";
import { assert, assertEquals } from "../assert.ts";
import { mxoss } from "./program.ts";

/** What is said of files under the folders of the system. */
const SYSTEM =
  "the program is not permitted to open what lies under /dev, /proc and /sys; expected another path, for " +
  "instance one where the directory is mounted once more (mount --bind)";

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
    assertEquals(said("all", ' to "/dev/mem"'), `"/dev/mem": ${SYSTEM}`);
    assertEquals(said("net", ""), "the program is not permitted to do this (net)");
  }
  assertEquals(denied(new Deno.errors.NotCapable("no"), true), "the program is not permitted to do this");
});

Deno.test("denied() names the flag of a source run, but not all permissions at once, which would not help", () => {
  const message = 'Requires read access to "x", run again with the --allow-read flag';
  assertEquals(denied(new Deno.errors.NotCapable(message), false), `deno was started without a permission: ${message}`);
  const all = 'Requires all access to "/dev/mem", run again with the --allow-all flag';
  assertEquals(denied(new Deno.errors.NotCapable(all), false), `"/dev/mem": ${SYSTEM}`);
});

Deno.test("a special file of the system is refused without advice that would not help", async () => {
  for (
    const args of [["--model", "/proc/self", "hi"], ["--model", "/dev/shm", "hi"], [
      "--prompt-file",
      "/proc/self/environ",
    ]]
  ) {
    const { code, stdout, stderr } = await mxoss(args);
    assertEquals([code, stdout, stderr], [2, "", `error: "${args[1]}": ${SYSTEM}\n`]);
  }
});

Deno.test("no help text names Deno's flags, which a standalone binary does not take", async () => {
  for (const command of COMMANDS.values()) assert(!commandHelp(await command.spec()).includes("--allow-"));
});

/** Texts that may speak of Deno's commands, since they look first whether there are such for their reader. */
const LOOKS_FIRST = ["src/cli/denied.ts", "src/cli/devices.ts", "src/backends/gpu/kernels.ts"];

Deno.test("no message recommends a command of Deno's without looking who reads it", () => {
  const root = new URL("../../", import.meta.url);
  const found: string[] = [];
  const look = (folder: string) => {
    for (const { name, isDirectory } of Deno.readDirSync(new URL(folder, root))) {
      const path = `${folder}${name}`;
      if (isDirectory) look(`${path}/`);
      if (!name.endsWith(".ts")) continue;
      const code = Deno.readTextFileSync(new URL(path, root)).replaceAll(/^\s*(?:\/?\*|\/\/).*$/gm, "");
      if (/deno (?:task|run|install|compile)\b|--allow-(?:read|write|env|ffi|net|all)\b/.test(code)) found.push(path);
    }
  };
  look("src/");
  assertEquals(found.filter((path) => !LOOKS_FIRST.includes(path)), []);
  for (const path of LOOKS_FIRST) assert(Deno.readTextFileSync(new URL(path, root)).includes("STANDALONE"), path);
});
