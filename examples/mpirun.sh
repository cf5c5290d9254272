#!/bin/bash
# An evaluation by the processes of any MPI: each answers a part, and then the results of all are made.
#
#     OUT=run MODEL=gpt-oss-20b DATA=gsm8k/test.jsonl examples/mpirun.sh -n 4
#
# Arguments go to mpirun: on several hosts also `--hostfile F`. OUT is on a file system that they share. Started again
# after it was killed, it goes on where it was. Further options of mxoss eval: ARGS="--scheme w_mxfp4,w_mxfp4_a_mxfp4".
set -eu
: "${OUT:?a directory that all hosts share}" "${MODEL:?the directory of the model}" "${DATA:?the problems}"

# shellcheck disable=SC2086 # ARGS is several words.
mpirun "$@" mxoss eval gsm8k --model "$MODEL" --data "$DATA" --out "$OUT" ${ARGS:-}
exec mxoss report "$OUT" --out "$OUT"
