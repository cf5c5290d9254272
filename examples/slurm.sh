#!/bin/bash
# An evaluation as a Slurm job array: each task answers a part, the last job makes the results of all.
#
#     OUT=/shared/run MODEL=/shared/gpt-oss-20b DATA=/shared/gsm8k/test.jsonl sbatch examples/slurm.sh
#
# OUT is on a file system that all nodes share. Further options of mxoss eval: ARGS="--scheme w_mxfp4,w_mxfp4_a_mxfp4".
# A task whose node dies is requeued and goes on where it was; so does one that failed, by `scontrol requeue JOB_3`, two
# minutes later. The join is a job of its own that waits for the ends of all tasks, good or bad: if something is missing
# then, $OUT.txt says what, with the commands, and a task that is repeated orders another join. (It does not wait for
# tasks that end well, by afterok: Slurm keeps in mind that one has failed, also when it does well as it is repeated.)
# `sbatch --array=3 examples/slurm.sh` would take itself for the only part and is refused: add ARGS="--shard 4/8".
#SBATCH --job-name=mxoss
#SBATCH --array=0-7
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=1
#SBATCH --requeue
#SBATCH --open-mode=append
set -eu
: "${OUT:?a directory that all nodes share}" "${MODEL:?the directory of the model}" "${DATA:?the problems}"

# The first task also orders the join, and so does each that is started again, since the one before may have been.
if [ "$SLURM_ARRAY_TASK_ID" = "$SLURM_ARRAY_TASK_MIN" ] || [ "${SLURM_RESTART_COUNT:-0}" != 0 ]; then
  sbatch --quiet --dependency="afterany:$SLURM_ARRAY_JOB_ID" --output="$OUT.txt" --open-mode=append \
    --wrap "exec mxoss report '$OUT' --out '$OUT'"
fi

# shellcheck disable=SC2086 # ARGS is several words.
exec mxoss eval gsm8k --model "$MODEL" --data "$DATA" --out "$OUT" --threads "${SLURM_CPUS_PER_TASK:-1}" ${ARGS:-}
