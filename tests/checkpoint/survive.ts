/** Runs many inputs of which each must end in a result or in one line about it. */
import { InputError } from "../../src/errors.ts";
import { assert } from "../assert.ts";
import { dose } from "../soak.ts";
import { Random } from "./random.ts";

/** Inputs of a kind; `deno task fuzz` tries a million. */
export const INPUTS = Number(Deno.env.get("MXOSS_FUZZ") ?? dose(1_000, 10_000));

/** Runs each input; gives how many were accepted. Anything but a result or a one-line InputError fails the test. */
export function survive(
  inputs: number,
  seed: number,
  run: (random: Random) => { input: Uint8Array; act: () => unknown },
): number {
  let accepted = 0;
  for (let i = 0; i < inputs; i++) {
    const { input, act } = run(new Random(seed + i));
    try {
      act();
      accepted++;
    } catch (thrown) {
      const text = () => `seed ${seed + i}: ${thrown}: ${new TextDecoder().decode(input).slice(0, 4000)}`;
      assert(thrown instanceof InputError, text());
      // deno-lint-ignore no-control-regex -- control characters are what must not be there
      assert(!/[\u0000-\u001f\u2028\u2029]/.test(thrown.message) && thrown.message.length < 2000, text());
    }
  }
  return accepted;
}
