/** Hears of Ctrl-C, but never has a pause to act on it; as an argument says, waits and does nothing about it. */
import { Interrupt } from "../../src/cli/interrupt.ts";

const waits = Deno.args[0] === "waits";
using _interrupt = new Interrupt(!waits);
const says = (line: string) => Deno.stdout.writeSync(new TextEncoder().encode(`${line}\n`));
says("busy");
if (waits) await new Promise((resolve) => setTimeout(resolve, 60_000));
for (const end = Date.now() + 60_000; Date.now() < end;);
says("done");
