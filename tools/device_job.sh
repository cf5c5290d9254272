#!/bin/sh
# Runs tools/device_job.ts on a bare Linux x86-64 machine with a GPU: no Deno, no network, only this repository and the
# folder .device.
#
#     tools/device_job.sh pack           here: writes .device/ (ignored by git): Deno, compressed, and the program
#                                        as one script
#     tools/device_job.sh run [FLAGS]    there, in the repository's root: unpacks to /tmp and runs; tools/device_job.ts
#                                        has the FLAGS
#
# With OUT set, `run` leaves $OUT/device.json and $OUT/device.log. Deno's archive takes two minutes to make and is made
# once; `pack` again after every change of a source.
set -eu
cd "$(dirname "$0")/.."

case "${1:-}" in
pack)
  mkdir -p .device "$(git rev-parse --git-dir)/info"
  exclude="$(git rev-parse --git-dir)/info/exclude"
  grep -qsx '/.device/' "$exclude" || echo '/.device/' >> "$exclude"
  # The npm package's command is a script; the binary is what it starts.
  deno=$(deno eval 'console.log(Deno.execPath())')
  [ -s .device/deno.xz ] || xz -9 -c "$deno" > .device/deno.xz
  deno bundle --quiet --no-lock --external '*/wasm_module.js' -o .device/job.js tools/device_job.ts
  ls -l .device
  ;;
run)
  shift
  deno=/tmp/mxoss-deno
  [ -x "$deno" ] || { xz -dc .device/deno.xz > "$deno" && chmod +x "$deno"; }
  # Beside the program's own files, which it finds relative to itself.
  cp .device/job.js job.js
  out=${OUT:-/tmp}
  status=0
  { "$deno" run -A --no-config --no-lock --no-prompt job.js --out "$out/device.json" "$@" 2>&1 ||
    echo "exit status $?"; } | tee "$out/device.log"
  rm -f job.js
  if grep -q '^exit status' "$out/device.log"; then status=1; fi
  exit $status
  ;;
*)
  sed -n '2,8p' "$0" >&2
  exit 2
  ;;
esac
