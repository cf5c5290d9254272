import { checkLimits } from "../../../src/backends/gpu/limits.ts";
import { openCheckpoint } from "../../../src/checkpoint/checkpoint.ts";
import { InputError } from "../../../src/errors.ts";
import { onGpus } from "../../../src/formats/input.ts";
import type { OpenRequest } from "../../../src/model/backend.ts";
import { planModel } from "../../../src/plan/planned.ts";
import { SCHEMES } from "../../../src/plan/scheme.ts";
import { assertEquals, assertThrows } from "../../assert.ts";
import { TINY } from "../../model/tiny.ts";

Deno.test("checkLimits() refuses Q8_0 inputs by name, and takes all others", () => {
  const checkpoint = openCheckpoint(TINY), FORMATS = { dtype: "bf16", kvCacheDtype: "auto" } as const;
  const check = (scheme?: string) => {
    const { source } = planModel(checkpoint, { ...FORMATS, ...(scheme === undefined ? {} : { scheme }) });
    checkLimits({ config: checkpoint.config, source } as OpenRequest);
  };
  check();
  check("w_mxfp4_a_mxfp8");
  const { message } = assertThrows(() => check("w_mxfp4_a_q8_0"), InputError);
  assertEquals(
    message,
    "model.layers.0.mlp.experts.0.gate_up_proj: the GPU backend supports no Q8_0 inputs (backend emulate and " +
      "reference do), got q8_0",
  );
  const refused = SCHEMES.filter(({ input }) => !onGpus(input)).map(({ name }) => name);
  assertEquals(refused, ["w_mxfp4_a_q8_0"]);
});
