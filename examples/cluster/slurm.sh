#!/usr/bin/env bash
# A recipe on several machines under SLURM:
#
#   sbatch --nodes 4 --gpus-per-node 8 slurm.sh /shared/recipe.yaml /shared/runs/mine
#
# Requeued after a preemption or a failed machine, it goes on from the last whole checkpoint.
#SBATCH --job-name vasari
#SBATCH --ntasks-per-node 1
#SBATCH --exclusive
#SBATCH --requeue
#SBATCH --open-mode append
#SBATCH --output %x-%j.log
set -euo pipefail
recipe="$1" out="$2"
nodes=($(scontrol show hostnames "$SLURM_JOB_NODELIST"))
export HEAD="${nodes[0]}" NODES="$SLURM_NNODES" GPUS="${SLURM_GPUS_ON_NODE:-8}" RUN="$SLURM_JOB_ID"
# Jobs that share a machine must not meet at one port.
export PORT="$((29000 + SLURM_JOB_ID % 1000))"
# Environment and caches, the same on all machines:
#   source /shared/venv/bin/activate; export HF_HOME=/shared/hf
here="$(dirname "$(scontrol show job "$SLURM_JOB_ID" | sed -n 's/^ *Command=\([^ ]*\).*/\1/p')")"
# --kill-on-bad-exit: a machine that fails ends the others, which would wait for it.
exec srun --kill-on-bad-exit=1 bash "$here/torchrun.sh" "$recipe" "$out"
