#!/usr/bin/env bash
# One machine of several that train a recipe together. Start it on each of them, with the same arguments:
#
#   HEAD=10.0.0.1 NODES=2 GPUS=8 ./torchrun.sh recipe.yaml /shared/runs/mine
#
# HEAD    a machine of these, under a name or address that all others reach
# NODES   how many machines
# GPUS    processes a machine
# PORT    where they meet on HEAD (default 29500)
# RUN     a name for this start, where several share HEAD (default vasari)
#
# The recipe and the folder must be on a disk that all machines share, under one path. After a crash start it again on all of
# them: `--resume` goes on from the last whole checkpoint, and begins where there is none.
set -euo pipefail
recipe="$1" out="$2"
: "${HEAD:?names no machine}" "${NODES:?says no number of machines}" "${GPUS:?says no number of GPUs}"
meet=(
    --nnodes "$NODES" --nproc_per_node "$GPUS"
    --rdzv_backend c10d --rdzv_endpoint "$HEAD:${PORT:-29500}" --rdzv_id "${RUN:-vasari}"
)
# One thread a process, unless you know better: torch would take all cores for each.
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
if grep -qE '^sft:' "$recipe"; then
    torchrun "${meet[@]}" -m vasari sft "$recipe" --out "$out" --resume
fi
exec torchrun "${meet[@]}" -m vasari train "$recipe" --out "$out" --resume
