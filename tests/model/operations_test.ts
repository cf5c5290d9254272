/** What each operation of the forward pass reads: what errors are put down to, and which inputs are calibrated. */
import { inputOperation, inputsOf, OPERATIONS, operationWith, placeInPass } from "../../src/model/operations.ts";
import { assertEquals } from "../assert.ts";

/** The operations of two layers, each with the layer that it is of. */
const layer = (of: number) => OPERATIONS.slice(1, -2).map(({ name }) => ({ operation: name, of }));
const PASS = [{ operation: "embed" as const, of: -1 }, ...layer(0), ...layer(1)];

const read = (name: (typeof OPERATIONS)[number]["name"], of: number) => {
  const at = PASS.findIndex((one) => one.operation === name && one.of === of);
  return inputsOf(name, PASS.slice(0, at)).map(({ operation, of }) => `${operation} ${of}`);
};

Deno.test("inputsOf() are the latest results of their names, and the latest that wrote the residual stream", () => {
  assertEquals(read("inputNorm", 0), ["embed -1"]);
  assertEquals(read("inputNorm", 1), ["mlpResidual 0"]);
  assertEquals(read("attentionResidual", 0), ["embed -1", "o_proj 0"]);
  assertEquals(read("attentionResidual", 1), ["mlpResidual 0", "o_proj 1"]);
  assertEquals(read("postNorm", 1), ["attentionResidual 1"]);
  assertEquals(read("attention", 1), ["rotary.q 1", "rotary.k 1", "v_proj 1"]);
  assertEquals(read("experts.combine", 1), ["experts.down_proj 1", "route 1"]);
  assertEquals(inputsOf("finalNorm", PASS).map(({ operation, of }) => `${operation} ${of}`), ["mlpResidual 1"]);
  // What was not computed is left out.
  assertEquals(inputsOf("attentionResidual", [{ operation: "o_proj" }]), [{ operation: "o_proj" }]);
  assertEquals(inputsOf("embed", PASS), []);
});

Deno.test("inputOperation() is what a linear reads, of the operation that multiplies by it", () => {
  const linears = ["q", "k", "v", "o", "router", "gateUp", "down", "head"] as const;
  const names = linears.map((linear): string => operationWith(linear).name);
  assertEquals(names.slice(0, 5), ["q_proj", "k_proj", "v_proj", "o_proj", "router"]);
  assertEquals(names.slice(5), ["experts.gate_up_proj", "experts.down_proj", "lm_head"]);
  const inputs = linears.map((linear): string => inputOperation(linear));
  assertEquals(inputs.slice(0, 4), ["inputNorm", "inputNorm", "inputNorm", "attention"]);
  assertEquals(inputs.slice(4), ["postNorm", "postNorm", "experts.swiglu", "finalNorm"]);
  assertEquals(OPERATIONS.map(({ name }) => placeInPass(name)), OPERATIONS.map((_, i) => i));
});
