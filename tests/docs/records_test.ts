/** Records under docs/measurements that a tool writes are what it writes now. */
import { assert, assertEquals } from "../assert.ts";
import { KERNEL_PAGE, kernelTable } from "../../tools/kernel_table.ts";

/** A page without what `deno fmt` decides: line breaks, and how wide the columns of tables are. */
const words = (page: string) => page.replaceAll(/-{3,}/g, "---").split(/\s+/).filter((word) => word !== "");

Deno.test("docs/measurements/kernels.md is what tools/kernel_table.ts writes", () => {
  const expected = words(kernelTable());
  assert(expected.length > 1000, `only ${expected.length} words`);
  assertEquals(words(Deno.readTextFileSync(KERNEL_PAGE)).join(" "), expected.join(" "));
});
