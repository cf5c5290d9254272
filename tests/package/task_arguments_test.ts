/** Tasks that take no arguments refuse them before they do anything. */
import { assertEquals } from "@std/assert";

for (const [tool, hint] of [["install", "; DENO_INSTALL_ROOT says where to"], ["jsr", ""]] as const) {
  Deno.test(`deno task ${tool} refuses arguments`, async () => {
    const script = new URL(`../../tools/${tool}.ts`, import.meta.url).pathname;
    // Without permissions: nothing is read, written or run.
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-check", "--no-prompt", script, "--root", "x"],
    }).output();
    const line = `usage: deno task ${tool}, without arguments${hint}\n`;
    assertEquals([code, new TextDecoder().decode(stdout), new TextDecoder().decode(stderr)], [2, "", line]);
  });
}
