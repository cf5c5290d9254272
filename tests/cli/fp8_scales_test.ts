import { COMPARE } from "../../src/cli/compare_options.ts";
import { parseSide } from "../../src/cli/compare_sides.ts";
import { EVAL } from "../../src/cli/eval/options.ts";
import { GENERATE } from "../../src/cli/generate_options.ts";
import { INSPECT } from "../../src/cli/inspect_options.ts";
import { LOGITS } from "../../src/cli/logits_options.ts";
import { formatChoices } from "../../src/cli/settings.ts";
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { parseCommand } from "../../src/cli/options.ts";
import { assert, assertEquals } from "../assert.ts";
import { planSetting } from "../../src/session/setting.ts";
import { unpack } from "../model/quark_exports.ts";

Deno.test("--fp8-scales is an option of every command that computes in a scheme", () => {
  for (const { name, options } of [GENERATE, LOGITS, EVAL, COMPARE, INSPECT]) {
    assert(Object.hasOwn(options, "fp8-scales"), name);
  }
  assertEquals(parseSide("b", "scheme=fp8,fp8-scales=own"), { scheme: "fp8", "fp8-scales": "own" });
});

Deno.test("--fp8-scales decides in the plan which static scale an expert has", () => {
  using dir = unpack("fp8");
  const checkpoint = openCheckpoint(dir.path);
  const scales = (...words: string[]) => {
    const { options } = parseCommand(INSPECT, words);
    const { plan } = planSetting({ checkpoint, ...formatChoices(options) }).planned;
    const down = plan.linears.filter(({ module }) =>
      module.startsWith("model.layers.0.mlp.experts.") && module.endsWith("down_proj")
    );
    return { scheme: plan.scheme, scales: down.map(({ input }) => input.kind === "fp8_static" ? input.scale : 0) };
  };
  const stored = checkpoint.source.tree.layers[0]!.down.map(({ inputScale }) => inputScale!);
  assertEquals(scales("--fp8-scales", "own"), { scheme: "fp8 with own scales", scales: stored });
  assertEquals(scales(), { scheme: "fp8", scales: stored.map(() => Math.max(...stored)) });
});
