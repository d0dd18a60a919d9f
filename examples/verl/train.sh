#!/usr/bin/env bash
# GRPO on chosen prompts in verl 0.9, on one node, or on the nodes of a Ray cluster that runs already (slurm.sh starts one).
#
#   MODEL=Qwen/Qwen2.5-VL-7B-Instruct TRAIN=exports/verl/rl.parquet VAL=val.parquet examples/verl/train.sh
#   examples/verl/train.sh +vasari.sampler.name=vas +vasari.sampler.refresh_every=28     # further overrides come last
#
# GPUS=8 a node, NODES=1, BATCH=128 prompts of ROLLOUTS=8 each, OUT=checkpoints/vasari; PYTHON=python of the environment of verl.
# What each setting is for: docs/verl.md.
set -euo pipefail
: "${MODEL:?a model of the hub or a folder}" "${TRAIN:?rows in the format of verl}" "${VAL:?rows to validate on}"

export VERL_USE_EXTERNAL_MODULES=vasari.verl
settings=(
    # Ours. Ray's workers on other nodes do not see the variable above.
    trainer.v1.trainer_mode=vasari
    +vasari.sampler.name=weighted_passes
    +ray_kwargs.ray_init.runtime_env.env_vars.VERL_USE_EXTERNAL_MODULES=vasari.verl
    data.dataloader_num_workers=0
    reward.custom_reward_function.path=pkg://vasari.train.verl_reward
    reward.custom_reward_function.name=verified
    actor_rollout_ref.rollout.calculate_log_probs=True

    # GRPO; dynamic filtering: algorithm.filter_groups.enable=True.
    algorithm.adv_estimator=grpo
    critic.enable=False
    actor_rollout_ref.actor.use_kl_loss=False

    "data.train_files=$TRAIN"
    "data.val_files=$VAL"
    data.seed=42
    "data.train_batch_size=${BATCH:-128}"
    data.max_prompt_length=2048
    data.max_response_length=4096
    data.filter_overlong_prompts=True

    "actor_rollout_ref.model.path=$MODEL"
    actor_rollout_ref.model.use_remove_padding=True
    actor_rollout_ref.model.enable_gradient_checkpointing=True
    actor_rollout_ref.actor.optim.lr=1e-6
    "actor_rollout_ref.actor.ppo_mini_batch_size=${BATCH:-128}"
    actor_rollout_ref.actor.use_dynamic_bsz=True
    actor_rollout_ref.rollout.name=vllm
    "actor_rollout_ref.rollout.n=${ROLLOUTS:-8}"
    actor_rollout_ref.rollout.tensor_model_parallel_size=1
    actor_rollout_ref.rollout.gpu_memory_utilization=0.6

    "trainer.nnodes=${NODES:-1}"
    "trainer.n_gpus_per_node=${GPUS:-8}"
    "trainer.default_local_dir=${OUT:-checkpoints/vasari}"
    "trainer.logger=[console,file]"
    trainer.save_freq=20
    trainer.test_freq=20
    trainer.total_epochs=15
)
exec "${PYTHON:-python}" -m verl.trainer.main_ppo "${settings[@]}" "$@"
