/**
 * Hears of Ctrl-C, but never has a pause to act on it. As an argument says it waits instead and does nothing about it:
 * by a clock that stands still until there is a SIGUSR2, and then goes on by as long as one signal takes.
 */
import { Breath } from "../../src/breath.ts";
import { Interrupt } from "../../src/cli/interrupt.ts";
import { HeldTimers, SetClock } from "../timers.ts";

/** How long one signal may take to come from all who send it, in milliseconds. */
const SAME_SIGNAL_MS = 200;

const says = (line: string) => Deno.stdout.writeSync(new TextEncoder().encode(`${line}\n`));
const heard = () => Deno.stdin.read(new Uint8Array(8));

if (Deno.args[0] === "waits") {
  using clock = new SetClock();
  using timers = new HeldTimers("timeout", SAME_SIGNAL_MS);
  using _interrupt = new Interrupt(false);
  // The event loop hears of all signals that the process has taken note of at once: of this one after those before it.
  const last = new Promise<void>((resolve) => Deno.addSignalListener("SIGUSR2", resolve));
  says("waits");
  await last;
  do {
    for (const breath of Array.from({ length: 3 }, () => new Breath())) await breath.take();
  } while (timers.count === 0);
  clock.milliseconds += SAME_SIGNAL_MS;
  timers.goOff();
  says("goes on");
  await heard();
} else {
  using _interrupt = new Interrupt(true);
  says("busy");
  for (const end = Date.now() + 60_000; Date.now() < end;);
}
says("done");
