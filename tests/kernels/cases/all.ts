/** All cases of all kernels. */
import { cacheCases } from "./cache.ts";
import type { KernelCase } from "../check.ts";
import { attentionCases } from "./attention.ts";
import { expertCases } from "./expert.ts";
import { gemmCases } from "./gemm.ts";
import { linearCases } from "./linear.ts";
import { pickCases } from "./pick.ts";
import { scaledCases } from "./scaled.ts";
import { routeCases } from "./route.ts";
import { elementwiseCases, embedCases, normCases, qdqCases, quantizeCases } from "./rows.ts";

export function allCases(): KernelCase[] {
  return [
    ...[...embedCases(), ...normCases(), ...qdqCases(), ...quantizeCases(), ...elementwiseCases()],
    ...[...linearCases(), ...expertCases(), ...gemmCases(), ...scaledCases(), ...routeCases()],
    ...[...cacheCases(), ...attentionCases(), ...pickCases()],
  ];
}
