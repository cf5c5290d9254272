/** What threads of ranks share: a rank that waits for permission to launch a step hears that all must stop. */
import { DraggedError } from "../../src/parallel/communicator.ts";
import { RunControl } from "../../src/parallel/control.ts";
import { assert, assertEquals, assertThrows } from "../assert.ts";

Deno.test("a rank that waits for permission ends when all must stop, though nobody closes its pace", () => {
  const control = RunControl.create(2);
  control.pace(3, false);
  assertEquals([control.permitted(), control.closed()], [3, false]);
  // Permitted already.
  control.wait(2);
  const started = performance.now();
  control.wait(3);
  assert(performance.now() - started >= 10, "waits for a while where nothing is permitted");
  control.abort();
  assertThrows(() => control.wait(3), DraggedError);
  assertThrows(() => control.wait(2), DraggedError);
});

Deno.test("what ranks of other processes say of themselves stands beside what those of this one do", () => {
  const control = RunControl.create(2);
  control.progress(0);
  control.set(1, { steps: 5, beats: 9 });
  assertEquals([control.stateOf(0), control.stateOf(1)], [{ steps: 1, beats: 1 }, { steps: 5, beats: 9 }]);
});

Deno.test("a rank that waits for others to rest hears of the last one, and waits no longer than it is told", () => {
  const control = RunControl.create(3), other = new RunControl(control.shared);
  control.progress(0);
  control.rest();
  other.rest();
  assertEquals(control.awaitRest(0, 1e9), false);
  assertEquals(control.awaitRest(1, 1e9), false);
  // Silence means something only where all must stop.
  const started = performance.now();
  assertEquals(control.awaitRest(80, 0), false);
  assert(performance.now() - started >= 80);
  other.abort();
  assertEquals(control.awaitRest(1e9, 30), false);
  other.rest();
  assertEquals([control.awaitRest(0, 0), other.awaitRest(1e9, 0)], [true, true]);
  assertEquals(control.stateOf(0), { steps: 1, beats: 1 });
});
