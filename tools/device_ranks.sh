#!/bin/sh
# Runs tools/device_ranks.ts on a bare Linux x86-64 machine with several GPUs: no Deno, no network, only this repository
# and the folder .device.
#
#     tools/device_ranks.sh pack           here: writes .device/ranks.txz (ignored by git): the program, its threads,
#                                          the kernels; and .device/deno.xz, Deno compressed, if it is not there
#     tools/device_ranks.sh run [FLAGS]    there, in the repository's root: unpacks to /tmp and runs;
#                                          tools/device_ranks.ts has the FLAGS; Deno may also come in pieces,
#                                          .device/deno.xz.*
#     tools/device_ranks.sh kill [FLAGS]   there: kills one of two processes, or of TP, 20 times while they compute the
#                                          embedded model on as many GPUs; tools/kill_ranks.ts has the FLAGS
#
# NCCL is looked for in Python's packages. With OUT set, `run` leaves $OUT/ranks.json and $OUT/ranks.log, `kill`
# $OUT/kills.json and $OUT/kills.log.
set -eu

case "${1:-}" in
pack)
  cd "$(dirname "$0")/.."
  git check-ignore -q .device/x || echo '/.device/' >> "$(git rev-parse --git-path info/exclude)"
  mkdir -p .device
  [ -s .device/deno.xz ] || xz -9 -c "$(deno eval 'console.log(Deno.execPath())')" > .device/deno.xz
  to=$(mktemp -d)
  # What they share lies in the root, beside which the program looks for its own files.
  deno bundle --quiet --no-lock --platform=deno --code-splitting --external "*/wasm_module.js" "--outdir=$to" \
    main.ts tools/device_ranks.ts tools/kill_ranks.ts \
    src/parallel/device_rank_worker.ts src/parallel/rank_worker.ts > /dev/null
  mkdir -p "$to/kernels/build"
  cp -r kernels/build/sm_90* kernels/build/manifest.json "$to/kernels/build/"
  tar -C "$to" -cJf .device/ranks.txz .
  rm -r "$to"
  ls -l .device
  ;;
run | kill)
  what=$1
  shift
  deno=/tmp/mxoss-deno
  [ -x "$deno" ] || { cat .device/deno.xz* | xz -dc > "$deno" && chmod +x "$deno"; }
  to=/tmp/mxoss-ranks
  rm -rf "$to" && mkdir -p "$to" && tar -C "$to" -xJf .device/ranks.txz
  mkdir -p "$to/models" "$to/tests/goldens" "$to/wasm"
  cp -r wasm/pkg "$to/wasm/"
  cp -r models/tiny-gpt-oss "$to/models/"
  cp tests/goldens/logits.safetensors tests/goldens/word-problems.jsonl "$to/tests/goldens/"
  nccl=$(python3 -c 'import nvidia.nccl as n; print(list(n.__path__)[0])' 2> /dev/null || true)
  nccl=${nccl:+--collectives-library $nccl/lib/libnccl.so.2}
  out=${OUT:-/tmp}
  if [ "$what" = kill ]; then
    # shellcheck disable=SC2086 # An option and its value, or nothing.
    "$deno" run -A --no-config --no-lock --no-prompt "$to/tools/kill_ranks.js" --out "$out/kills.json" \
      --processes "${TP:-2}" \
      --program "$deno run -A --no-config --no-lock --no-prompt $to/main.js" "$@" \
      -- --backend cuda --tp ${TP:-2} $nccl 2>&1 | tee "$out/kills.log"
    exit
  fi
  # shellcheck disable=SC2086
  "$deno" run -A --no-config --no-lock --no-prompt "$to/tools/device_ranks.js" --out "$out/ranks.json" $nccl "$@" 2>&1 |
    tee "$out/ranks.log"
  ;;
*)
  sed -n '2,15p' "$0" >&2
  exit 2
  ;;
esac
