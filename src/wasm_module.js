/**
 * The WASM module as an import: the one way to a file beside a script that is fetched by https. TypeScript and the
 * bundler do not know the syntax yet; they never see this file.
 */
import source kernels from "../wasm/pkg/mxoss_kernels_bg.wasm";

export default kernels;
