/**
 * Every operation of `emulate` against `reference`, with one thread and with several, over one memory and over several.
 */
import { openEmulate } from "../../src/backends/emulate/open.ts";
import { openReference } from "../../src/backends/reference/open.ts";
import { SOAK } from "../soak.ts";
import { PROCESSOR_CASES } from "./cases/gemm.ts";
import { OPERATION_CASES, testBackends } from "./operations.ts";

// Starting threads takes most of the time: outside a soak only one case of 13 has several. Dtypes and widths alternate
// by two and by three.
let opened = 0;
testBackends(
  "emulate",
  openReference,
  (request) => openEmulate(request, { threads: SOAK || opened++ % 13 === 0 ? 3 : 1, weights: "read" }),
  [...OPERATION_CASES, ...PROCESSOR_CASES],
);
