/**
 * The embedded model under each scheme, planned from its name, against logits of another implementation under the same
 * scheme (tests/goldens/logits.safetensors).
 */
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { openSession } from "../session/open_session.ts";
import type { BackendName } from "../../src/session/setting.ts";
import { planModel } from "../../src/plan/planned.ts";
import { assert, assertEquals } from "../assert.ts";
import { floats, integers, readGolden } from "../golden.ts";
import { dose } from "../soak.ts";
import { SCHEME_GOLDENS } from "./scheme_goldens.ts";
import { argmaxAgreement, logitsOf, rmsDistance, TINY } from "./tiny.ts";

const goldens = readGolden("logits.safetensors");
const ids = integers(goldens, "two_turns.ids");
const weightOnly = floats(goldens, "two_turns.w_mxfp4");

for (const backend of ["emulate", "reference"] as const satisfies readonly BackendName[]) {
  // The scalar backend takes seconds for each: in soaks.
  for (
    const [name, wishes] of backend === "emulate" ? SCHEME_GOLDENS : dose([], SCHEME_GOLDENS)
  ) {
    Deno.test(`${backend} computes the golden logits of ${name}`, async () => {
      const checkpoint = openCheckpoint(TINY);
      const options = { dtype: "f32", kvCacheDtype: "auto", ...wishes } as const;
      const planned = planModel(checkpoint, options);
      assertEquals(planned.plan.scheme, wishes.scheme ?? "w_mxfp4");
      const session = await openSession(checkpoint, { ...options, planned, backend, context: 256, threads: 2 });
      try {
        const golden = floats(goldens, `two_turns.${name}`);
        const { vocab } = session.limits;
        const logits = (await logitsOf(session, ids)).subarray(ids.length * vocab - golden.length);
        // The scheme's own effect must be there, not just something near the model; a last-bit difference may flip a
        // rounding.
        const distance = rmsDistance(logits, golden), effect = rmsDistance(weightOnly, golden);
        assert(distance <= 0.05 * effect, `RMS distance ${distance}, of the scheme's own effect of ${effect}`);
        assert(argmaxAgreement(logits, golden, vocab) >= 0.98);
      } finally {
        await session.close();
      }
    });
  }
}
