/** What help and the man page say of the whole program. */

/** What the program is, in a line. */
export const PROGRAM = "runs GPT-OSS models under OCP-MX quantization schemes, on any CPU";

/** What exit codes mean. */
export const EXIT_CODES: readonly (readonly [code: number, means: string])[] = [
  [0, "done"],
  [1, "a failure of the program or the machine"],
  [2, "a mistake in the arguments, the config or the checkpoint"],
  [3, "a comparison exceeded a limit of --fail-above"],
  [4, "a comparison cannot tell whether a limit of --fail-above is exceeded"],
  [130, "interrupted"],
];

/** What the environment decides. */
export const ENVIRONMENT: readonly (readonly [names: string, means: string])[] = [
  [
    "HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE, HF_HOME, XDG_CACHE_HOME",
    "where the Hugging Face cache is, in which --model org/name is looked for; without them ~/.cache/huggingface/hub",
  ],
  ["ROCM_PATH, HIP_PATH", "where the libraries of AMD GPUs are looked for"],
  ["NCCL_HOME, NCCL_ROOT", "where the library is looked for by which several GPUs exchange"],
  ["MXOSS_SHARDS", "how many shards there are, in an Indexed Job of Kubernetes, which does not say that itself"],
  ["MXOSS_API_KEY", "a key that lets in who brings it to mxoss serve"],
  [
    "MXOSS_RUN_SECRET",
    "what processes that share a model prove themselves by, on hosts that share no home directory",
  ],
  ["MXOSS_SELF_TESTS", "always: a GPU is tried at every start, not at the first of a version only"],
  ["MXOSS_TRACE", "1: errors with the stack of the program"],
  ["NO_COLOR", "anything: no dimmed text"],
  ["TERM", "dumb: nothing is drawn over"],
];
