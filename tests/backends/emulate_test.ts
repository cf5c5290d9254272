/** Every operation of `emulate` against `reference`, with one thread and with several, over one memory and over several. */
import { openEmulate } from "../../src/backends/emulate/open.ts";
import { openReference } from "../../src/backends/reference/open.ts";
import { OPERATION_CASES, testBackends } from "./operations.ts";

testBackends(
  "emulate",
  openReference,
  (request) => openEmulate(request, { threads: 3, weights: "read" }),
  OPERATION_CASES,
);
