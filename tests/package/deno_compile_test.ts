/**
 * The `deno compile` form as far as it can be seen without denort: with a stand-in for it, the binary is built but
 * cannot run.
 */
import { Buffer } from "node:buffer";
import { denoCompile, localDenort } from "../../tools/package/deno_compile.ts";
import { ADDRESSES, VARIABLES } from "../../src/cli/permissions.ts";
import { contents } from "../../tools/package/contents.ts";
import { assert, assertEquals, assertRejects, assertStringIncludes } from "../assert.ts";
import { ONLY_SOAKED, SOAK } from "../soak.ts";
import { inDirectory } from "./process.ts";

const files = SOAK ? await contents("made for a test") : [];

Deno.test({
  name: `denoCompile() embeds every file, starts main.js and permits no network and no processes${ONLY_SOAKED}`,
  // It bundles the whole program; contents_test.ts does so in the quick tests.
  ignore: !SOAK,
  fn: () =>
    inDirectory(async (dir) => {
      // Any program will do.
      await Deno.copyFile("/bin/true", `${dir}/denort`);
      await denoCompile(`${dir}/mxoss`, files, { denort: `${dir}/denort` });
      // Latin-1 has a character for each byte, and V8 searches strings fast.
      const latin1 = (bytes: Uint8Array) => Buffer.from(bytes).toString("latin1");
      const text = latin1(await Deno.readFile(`${dir}/mxoss`));
      const names = new Set([...text.matchAll(/"File":\{"n":"([^"]+)"/g)].map(([, name]) => name));
      for (const { path, bytes } of files) {
        assert(names.has(path.split("/").at(-1)!), path);
        if (!path.startsWith("kernels/build/")) assert(text.includes(latin1(bytes)), `${path} is not in it as it is`);
      }
      assertStringIncludes(text, '"entrypoint_key":"main.js"');
      const permissions = /"permissions":(\{.*?\})/.exec(text)![1]!;
      const granted = Object.entries(JSON.parse(permissions)).filter(([name, value]) =>
        name.startsWith("allow_") && value !== null
      );
      assertEquals(Object.fromEntries(granted.filter(([name]) => name !== "allow_import")), {
        allow_env: [...VARIABLES],
        allow_ffi: [],
        allow_net: [...ADDRESSES],
        allow_read: [],
        allow_write: ["/"],
      });
      assertStringIncludes(permissions, '"prompt":false');
    }),
});

Deno.test("denoCompile() says in one line why it cannot", () =>
  inDirectory(async (dir) => {
    const { message } = await assertRejects(
      () => denoCompile(`${dir}/mxoss`, files, { denort: `${dir}/missing` }),
      Error,
    );
    assert(!message.includes("\n") && message.length > 0, message);
  }));

Deno.test("localDenort() heeds DENORT_BIN", async () => {
  assertEquals(await localDenort("/somewhere/denort"), "/somewhere/denort");
});
