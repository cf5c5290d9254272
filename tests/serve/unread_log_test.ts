/** A server whose log nobody reads, as a program that started it with a pipe and looks at replies alone. */
import { assert, assertEquals } from "../assert.ts";
import { ownWords } from "./server_process.ts";

Deno.test("a server answers and ends, also where nobody reads its log", async () => {
  const child = new Deno.Command(Deno.execPath(), {
    args: [...ownWords(), "serve", "--port", "0", "--sequences=1", "--context=64", "--threads=1"],
    env: { NO_COLOR: "1" },
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const reader = child.stderr.pipeThrough(new TextDecoderStream()).getReader();
  let text = "", url: string | undefined;
  while (url === undefined) {
    const { done, value } = await reader.read();
    assert(!done, text);
    text += value;
    [, url] = /^listening on (http:\S+)$/m.exec(text) ?? [];
  }
  // A pipe holds 64 KiB, and what reads it ahead some more.
  const path = "x".repeat(1000), requests = 600;
  for (let i = 0; i < requests; i++) {
    const response = await fetch(`${url}/${path}`);
    await response.body!.cancel();
    assertEquals(response.status, 404);
  }
  child.kill("SIGTERM");
  assertEquals((await child.status).code, 0);
  for (let read = await reader.read(); !read.done; read = await reader.read()) text += read.value;
  // What the system had room for stands there line by line.
  const lines = text.slice(text.indexOf("{")).split("\n").slice(0, -1);
  assert(lines.length > 50 && lines.length < requests, `${lines.length} lines`);
  for (const line of lines) assertEquals(JSON.parse(line).status, 404);
});
