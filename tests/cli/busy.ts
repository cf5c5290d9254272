/** Hears of Ctrl-C, but never has a pause to act on it. */
import { Interrupt } from "../../src/cli/interrupt.ts";

using _interrupt = new Interrupt();
const says = (line: string) => Deno.stdout.writeSync(new TextEncoder().encode(`${line}\n`));
says("busy");
for (const end = Date.now() + 60_000; Date.now() < end;);
says("done");
