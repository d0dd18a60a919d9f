#!/usr/bin/env bash
#SBATCH --job-name=vasari-verl
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --exclusive
# GRPO on chosen prompts in verl over several nodes: starts Ray on each, then train.sh on the first.
#
#   MODEL=... TRAIN=/shared/rl.parquet VAL=/shared/val.parquet OUT=/shared/run sbatch examples/verl/slurm.sh
#
# One environment with vasari[verl], the data and OUT in folders that every node sees. Without SLURM: `ray start --head` on one
# node, `ray start --address=HEAD:6379` on the others, and NODES=2 train.sh on the first with RAY_ADDRESS=HEAD:6379.
set -euo pipefail
here="${VASARI_EXAMPLES:-${SLURM_SUBMIT_DIR:-.}/examples/verl}"
export NODES="$SLURM_JOB_NUM_NODES" GPUS="${SLURM_GPUS_ON_NODE:-8}" VERL_USE_EXTERNAL_MODULES=vasari.verl
port="${RAY_PORT:-6379}"
first="$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)"
address="$(srun --nodes=1 --ntasks=1 -w "$first" hostname --ip-address | awk '{ print $1 }')"

srun --nodes=1 --ntasks=1 -w "$first" \
    ray start --head --node-ip-address="$address" --port="$port" --num-gpus="$GPUS" --block &
sleep 20
if [ "$NODES" -gt 1 ]; then
    srun --nodes=$((NODES - 1)) --ntasks=$((NODES - 1)) --exclude="$first" \
        ray start --address="$address:$port" --num-gpus="$GPUS" --block &
    sleep 20
fi
RAY_ADDRESS="$address:$port" srun --overlap --nodes=1 --ntasks=1 -w "$first" --export=ALL "$here/train.sh" "$@"
