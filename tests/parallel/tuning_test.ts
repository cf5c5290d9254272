/** What is said of the times of sums. */
import { spreadText } from "../../src/parallel/tuning.ts";
import { assertEquals } from "../assert.ts";

Deno.test("times of sums are said in two digits, between ends that hold all of them", () => {
  assertEquals(spreadText([9.96, 10.04, 10.41]), "10 us [9.9, 11]");
  assertEquals(spreadText([7.34, 7.36, 7.38]), "7.4 us [7.3, 7.4]");
  assertEquals(spreadText([1234, 1251, 1299]), "1300 us [1200, 1300]");
  assertEquals(spreadText([0.0123, 0.5, 99.1]), "0.5 us [0.012, 100]");
  assertEquals(spreadText([12]), "12 us [12, 12]");
  // Which their floats times 10 and 100 miss.
  assertEquals(spreadText([0.29, 1.1]), "0.7 us [0.29, 1.1]");
});
