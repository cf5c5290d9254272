#!/bin/sh
# Runs bench/peers/cores.ts on a Linux x86-64 machine with many cores that has no Deno and no network:
#
#     bench/peers/cores.sh pack TO [PEERS]   here: writes into TO the program (cores.txz), Deno compressed (deno.xz, if
#                                            it is not there), and, from the folder PEERS with programs and libraries
#                                            of llama.cpp, peers.txz
#     bench/peers/cores.sh run FROM [FLAGS]  there: unpacks FROM to /tmp and runs; Deno may come in pieces, deno.xz.*
#
# llama.cpp must be built for any processor: GGML_NATIVE=OFF, GGML_BACKEND_DL=ON, GGML_CPU_ALL_VARIANTS=ON. With OUT
# set, `run` leaves $OUT/cores.json and $OUT/cores.log; a file $GGUF is what llama.cpp computes.
set -eu

case "${1:-}" in
pack)
  to=$(realpath "$2") peers=${3:-}
  cd "$(dirname "$0")/../.."
  [ -s "$to/deno.xz" ] || xz -7 -c "$(deno eval 'console.log(Deno.execPath())')" > "$to/deno.xz"
  dir=$(mktemp -d)
  # What they share lies in the root, beside which the program looks for its own files.
  deno bundle --quiet --no-lock --platform=deno --code-splitting --external "*/wasm_module.js" "--outdir=$dir" \
    main.ts bench/peers/cores.ts bench/threads.ts bench/pool.ts \
    src/backends/emulate/worker.ts src/backends/emulate/memory_worker.ts src/bench/probe_worker.ts \
    src/eval/score_worker.ts src/checkpoint/hash_worker.ts src/checkpoint/scales_worker.ts > /dev/null
  mkdir -p "$dir/wasm/pkg"
  cp wasm/pkg/*.wasm "$dir/wasm/pkg/"
  cp tests/goldens/word-problems-harder.jsonl "$dir/problems.jsonl"
  tar -C "$dir" -cJf "$to/cores.txz" .
  rm -r "$dir"
  [ -z "$peers" ] || tar -C "$peers" -cJf "$to/peers.txz" .
  ls -l "$to"
  ;;
run)
  from=$(realpath "$2") out=${OUT:-/tmp} deno=/tmp/mxoss-deno to=/tmp/mxoss-cores
  shift 2
  [ -x "$deno" ] || { cat "$from"/deno.xz* | xz -dc > "$deno" && chmod +x "$deno"; }
  rm -rf "$to" && mkdir -p "$to/peers" && tar -C "$to" -xJf "$from/cores.txz"
  # The embedded model, which this repository has.
  cp -r "$(dirname "$0")/../../models" "$to/"
  if [ -s "$from/peers.txz" ] && [ -s "${GGUF:-}" ]; then
    tar -C "$to/peers" -xJf "$from/peers.txz"
    # Libraries lie beside the programs.
    export LD_LIBRARY_PATH="$to/peers"
    set -- --bench "$to/peers/llama-bench" --batched "$to/peers/llama-batched-bench" --gguf "$GGUF" "$@"
  fi
  # Memory that the program may read, which gives up all that lies under /dev; without the right to mount, a disk.
  models=/tmp/mxoss-models
  mkdir -p "$models"
  mountpoint -q "$models" || mount -t tmpfs none "$models" 2> /dev/null || true
  lscpu | grep -E '^(Model name|CPU\(s\)|Thread|Core|Socket|NUMA|L[23]|Flags)' || true
  "$deno" run -A --no-config --no-lock --no-prompt "$to/bench/peers/cores.js" --main "$to/main.js" --models "$models" \
    --data "$to/problems.jsonl" --out "$out/cores.json" "$@" 2>&1 | tee "$out/cores.log"
  ;;
*)
  sed -n '2,11p' "$0" >&2
  exit 2
  ;;
esac
