/** A driver that is started on another thread. */
import { openHip } from "../../ffi/hip.ts";
import { warmDriver } from "../../ffi/warm.ts";
import { assertEquals } from "../assert.ts";
import { buildHipHost, withoutCompiler } from "../hip_host/build.ts";
import { HipHost } from "../hip_host/control.ts";

const ignore = withoutCompiler();

Deno.test(
  { name: "warmDriver() starts HIP once more than opening does, and gives everything back", ignore },
  async () => {
    using host = new HipHost(buildHipHost());
    {
      await using _started = warmDriver("hip", 0, host.path);
      using runtime = openHip(host.path);
      assertEquals(runtime.deviceCount(), 1);
    }
    assertEquals([host.calls("hipInit"), host.leaks()], [2, ""]);
  },
);

Deno.test({ name: "warmDriver() says nothing of a library that fails, which opening says", ignore }, async () => {
  using host = new HipHost(buildHipHost());
  host.configure({ devices: 0 });
  for (const library of [host.path, "/nowhere/libamdhip64.so", new URL(import.meta.url).pathname]) {
    await using _started = warmDriver("hip", 7, library);
  }
  await using _none = warmDriver("cuda", 0);
});
