#!/bin/sh
# Runs bench/threads.ts on a Linux x86-64 machine with many cores that has no Deno and no network:
#
#     bench/threads.sh pack           here: writes .device/threads/ (ignored by git): the program and its threads as
#                                     scripts; and .device/deno.xz, Deno compressed, if it is not there
#     bench/threads.sh run [FLAGS]    there, in the repository's root: unpacks Deno to /tmp and runs
#
# With OUT set, `run` leaves $OUT/threads.log and $OUT/threads.json.
set -eu
cd "$(dirname "$0")/.."

case "${1:-}" in
pack)
  git check-ignore -q .device/x || echo '/.device/' >> "$(git rev-parse --git-path info/exclude)"
  to=.device/threads
  mkdir -p $to/bench $to/src/bench $to/src/backends/emulate $to/wasm/pkg
  [ -s .device/deno.xz ] || xz -9 -c "$(deno eval 'console.log(Deno.execPath())')" > .device/deno.xz
  # At the paths where the program looks for its threads and its kernels.
  for script in src/bench/probe_worker src/backends/emulate/worker; do
    deno bundle --quiet --no-lock -o $to/$script.js $script.ts
  done
  deno bundle --quiet --no-lock -o $to/main.js bench/threads.ts
  cp wasm/pkg/*.wasm $to/wasm/pkg/
  find $to -type f
  ;;
run)
  shift
  deno=/tmp/mxoss-deno
  [ -x "$deno" ] || { xz -dc .device/deno.xz > "$deno" && chmod +x "$deno"; }
  out=${OUT:-/tmp}
  lscpu | grep -E '^(Model name|CPU\(s\)|Thread|Core|Socket|NUMA|L[23])' || true
  cd .device/threads
  "$deno" run -A --no-config --no-lock --no-prompt main.js --json "$out/threads.json" "$@" 2>&1 | tee "$out/threads.log"
  ;;
*)
  sed -n '2,9p' "$0" >&2
  exit 2
  ;;
esac
