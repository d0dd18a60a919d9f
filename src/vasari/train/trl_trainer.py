"""TRL's GRPOTrainer with prompts that a sampler chooses just before they are rolled out.

TRL's private methods are wrapped and never copied (docs/decisions/trl-late-binding.md). `loop.py`
is the algorithm and `trl_engine.py` rolls out for it; this file puts their batches in the place of
TRL's, and their state into TRL's checkpoints.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset, IterableDataset
from transformers.utils import is_torchvision_available
from trl import prepare_multimodal_messages

from vasari.core.errors import ConfigError, StateError, VasariError
from vasari.model.image_reuse import reuse_image_features
from vasari.model.processor import load_processor
from vasari.sample import Gate, PromptSampler
from vasari.train.checkpoints import CompleteCheckpoints, complete_checkpoints
from vasari.train.gated_batch import check_sizes
from vasari.train.loop import MEANS, Loop, LoopOptions
from vasari.train.micro_batches import MEANS_OF_TOKENS, sorted_by_length, weight_means
from vasari.train.run_state import RunState
from vasari.train.same_training import require_same_training
from vasari.train.trainer_arguments import gate_from, prompt_ids_of, sampler_from
from vasari.train.trl_batch import check_droppable, drop_zero_advantage_rollouts
from vasari.train.trl_engine import TrlEngine
from vasari.train.trl_forward import ImagesByRollout
from vasari.train.trl_images import IMAGES
from vasari.train.trl_log_probs import are_asked_for, are_exact, ignores_padding
from vasari.train.verdicts import Judge, VerdictReader, Verify
from vasari.train.vllm_prompts import VllmPrompts


class VarianceAwareGRPOTrainer(CompleteCheckpoints, ImagesByRollout):
    """TRL's `GRPOTrainer` that trains on the prompts a sampler chooses.

    Each batch of prompts is drawn just before it is rolled out, and every group is shown to the
    sampler before anything is left out. A resumed training (`train(resume_from_checkpoint=True)`)
    goes on with the same prompts. TRL's log has the sampler's metrics (`sampler/...`), what
    rollouts were spent on (`ledger/...`) and `zero_variance_share`.

    The first fourteen arguments are `GRPOTrainer`'s, in its order. `train_dataset` is the pool: a
    map-style `Dataset` in any of TRL's forms; its order does not matter. `args.seed` seeds the
    sampler.

    Args:
        sampler: A name (`vasari.sample.SAMPLER_NAMES`, or `package.module:attribute`), a mapping of
            `name` and settings, a settings object such as `VarianceAwareSettings`, or a
            `PromptSampler` over as many prompts. One that looks at prompts beforehand
            (`weighted_passes`, `bins`, `target`) reads `prompt`, `category`, `difficulty` and
            `choices`.
        gate: A name (`all`, `mixed`, `two_stage`), a mapping of `name` and settings, or a `Gate`.
        verdict_from: The reward function that says what is correct: 0.5 or more is, less is not,
            None is neither. None: the first one. Or a function from the rewards by name ([rollouts]
            each, unweighted) to 1, 0 and nan.
        verify: A function from a row and the text of a rollout to a `vasari.core.records.Verdict`,
            asked before the reward functions, which find the verdicts in the column `verdict`. An
            unverifiable rollout leaves its group's baseline.
        prompt_ids: One unique id a row. None: the column `prompt_id` or `id` if it is unique, else
            the prompts' digests.
        options: What is seldom changed.

    Raises:
        ConfigError: The pool is no map-style data set or smaller than a batch, or a setting does
            not fit.
    """

    train_dataset: Any
    loss_type: str
    _buffered_inputs: Any

    def __init__(
        self,
        model: Any,
        reward_funcs: Any = None,
        args: Any = None,
        train_dataset: Any = None,
        eval_dataset: Any = None,
        processing_class: Any = None,
        reward_processing_classes: Any = None,
        callbacks: Any = None,
        optimizers: Any = (None, None),
        quantization_config: Any = None,
        peft_config: Any = None,
        tools: Any = None,
        rollout_func: Any = None,
        environment_factory: Any = None,
        *,
        sampler: str | Mapping[str, Any] | PromptSampler | Any = "weighted_passes",
        gate: str | Mapping[str, Any] | Gate = "all",
        verdict_from: str | VerdictReader | None = None,
        verify: Verify | None = None,
        prompt_ids: Iterable[str] | None = None,
        options: LoopOptions | None = None,
    ) -> None:
        run = _run_over(
            train_dataset,
            sampler,
            gate,
            prompt_ids=prompt_ids,
            seed=42 if args is None else args.seed,
        )
        if environment_factory is not None:
            _check_environment(run)
        super().__init__(
            model,
            reward_funcs,
            args,
            train_dataset,
            eval_dataset,
            processing_class or _processor_of(model),
            reward_processing_classes,
            callbacks,
            optimizers,
            quantization_config,
            peft_config,
            tools,
            rollout_func,
            environment_factory,
        )
        self.vllm_prompts = VllmPrompts(self) if self.use_vllm else None
        self._options = options or LoopOptions()
        names, weights = self.reward_func_names, self.reward_weights.tolist()
        judge = Judge(names, weights, verdict_from, verify, self._options.essential)
        self._engine = TrlEngine(self, run, judge, self._options)
        self.loop = Loop(run, self._engine, self._options)
        self._check_batch()
        if self._options.encode_images_once and self.model.config.model_type == "qwen2_5_vl":
            for encoder in filter(None, (self.model, self.ref_model)):
                reuse_image_features(self.accelerator.unwrap_model(encoder))

    @property
    def prompt_sampler(self) -> PromptSampler:
        """The sampler that chooses which prompts are rolled out."""
        return self.loop.run.sampler

    def _check_batch(self) -> None:
        args, num_prompts = self.args, self.args.generation_batch_size // self.num_generations
        if len(self.train_dataset) < num_prompts:
            raise ConfigError(
                f"the pool has {len(self.train_dataset)} prompts and a batch draws {num_prompts}"
                f" (generation_batch_size {args.generation_batch_size} / num_generations"
                f" {self.num_generations}); make batches smaller"
            )
        check_sizes(
            self.loop.run.gate,
            num_prompts=num_prompts,
            num_rollouts=self.num_generations,
            num_processes=self.accelerator.num_processes,
        )
        if self._options.drop_zero_advantage:
            check_droppable(self, "drop_zero_advantage")
        if self._options.sort_by_length:
            check_droppable(self, "sort_by_length")

    # The batch of the loop in place of the data loader's rows.

    def get_train_dataloader(self) -> Any:
        """Return TRL's data loader over empty placeholder rows; real rows are read when drawn.

        So no image is opened for nothing.
        """
        pool = self.train_dataset
        self.train_dataset = Dataset.from_dict({"prompt": [""] * len(pool)})
        try:
            return super().get_train_dataloader()
        finally:
            self.train_dataset = pool

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        if not self.model.training:
            return self._engine.stock_batch(inputs)
        metrics = self.loop.next_batch(
            len(inputs) * self.accelerator.num_processes // self.num_generations
        )
        if self.accelerator.is_main_process:
            for name, value in metrics.items():
                # TRL logs the mean of what came since its last line, which a count or a state of
                # the sampler must not be.
                earlier = self._metrics["train"][name] if name in MEANS else []
                self._metrics["train"][name] = [*earlier, value]
        return self._engine.batch

    def _calculate_rewards(
        self, inputs: Any, prompts: Any, completions: Any, completion_ids_list: Any
    ) -> torch.Tensor:
        return self._engine.rewards(inputs, prompts, completions, completion_ids_list)

    def _tokenize_prompts(self, prompts: Any) -> Any:
        ids, images, fields = super()._tokenize_prompts(prompts)
        if self.vllm_prompts is not None and images is not None:
            turns = [prepare_multimodal_messages(prompt) for prompt in prompts]
            options = {"chat_template": self.chat_template, "tools": self.tools or None}
            self.vllm_prompts.know(turns, ids, options | self.chat_template_kwargs)
        return ids, images, fields

    def _generate(self, prompts: list[Any]) -> Any:
        found = self._engine.generate(prompts)
        if self.model.training and self._takes_kept and self._shares_prompts:
            self.kept = found[4]
        return found

    @functools.cached_property
    def _takes_kept(self) -> bool:
        """Whether the log-probabilities that rollouts were drawn with stand for TRL's own."""
        return self._options.reuse_log_probs and are_asked_for(self) and are_exact(self)

    @property
    def spares_padding(self) -> bool:
        """Whether columns of padding are left out of forward passes."""
        return self._options.sort_by_length and self._ignores_padding

    @functools.cached_property
    def _ignores_padding(self) -> bool:
        return ignores_padding(self.model)

    @property
    def log_probs_are_used(self) -> bool:
        """Whether somebody asks for the log-probabilities of what is drawn."""
        return self.model.training and (self._takes_kept or self.prompt_sampler.uses_logprobs)

    def _prepare_inputs(self, generation_batch: Any) -> Any:
        earlier = self._buffered_inputs
        inputs = super()._prepare_inputs(generation_batch)
        args = self.args
        if (
            not self._options.sort_by_length
            or self._buffered_inputs is earlier
            or args.steps_per_generation % args.gradient_accumulation_steps
        ):
            return inputs
        self._buffered_inputs = sorted_by_length(
            self._buffered_inputs,
            per_update=args.gradient_accumulation_steps,
            silent_last=self._options.drop_zero_advantage and self.beta == 0.0,
            total=lambda counts: self.accelerator.reduce(counts.to(self.accelerator.device)),
        )
        return self._buffered_inputs[self._step % args.steps_per_generation]

    # Cost: a group whose advantages are all zero cannot move the weights when there is no KL term.

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        if not self._options.drop_zero_advantage or self.beta != 0.0 or not self.model.training:
            return self._stock_loss(model, inputs)
        kept, share = drop_zero_advantage_rollouts(
            inputs, at_least=self._most_with_advantage(inputs)
        )
        loss = self._stock_loss(model, kept)
        # These losses divide by the rollouts that they see; the dropped ones, whose terms are zero,
        # belong to the count.
        by_rollout = self.loss_type in ("grpo", "dr_grpo")
        return loss * share if by_rollout else loss

    def _stock_loss(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        if IMAGES in inputs:
            # TRL hands on what it finds under its own names.
            inputs = inputs | {"pixel_values": inputs[IMAGES]}
        metrics = self._metrics["train" if self.model.training else "eval"]
        since = {name: len(metrics.get(name, ())) for name in MEANS_OF_TOKENS}
        loss: torch.Tensor = super()._compute_loss(model, inputs)
        by_rollout = self.importance_sampling_level == "sequence"
        weight_means(metrics, since, inputs, by_rollout=by_rollout)
        return loss

    def _most_with_advantage(self, inputs: dict[str, Any]) -> int:
        """Rollouts with an advantage in the process that has most of them.

        TRL gathers metrics, and so needs one size in all processes.
        """
        own = torch.count_nonzero(inputs["advantages"]).reshape(1)
        return int(self.accelerator.gather(own).max())

    # State beside the weights, complete or ignored.

    def train(self, resume_from_checkpoint: str | bool | None = None, **rest: Any) -> Any:
        """Train as TRL does; True resumes from the last checkpoint that was written completely.

        Raises:
            StateError: There is none; or one of several processes has another version, pool,
                sampler or setting, or begins elsewhere.
        """
        require_same_training(self, resume_from_checkpoint)
        if resume_from_checkpoint is True:
            found = complete_checkpoints(Path(self.args.output_dir), remove_others=False)
            if not found:
                raise StateError(
                    f"{self.args.output_dir}: holds no complete checkpoint to resume from; train"
                    " without resume_from_checkpoint"
                )
            resume_from_checkpoint = str(found[-1])
        return super().train(resume_from_checkpoint, **rest)

    def _run_epoch(self, **rest: Any) -> None:
        # A training that is resumed at its last step would otherwise take one more.
        if self.state.global_step >= self.state.max_steps:
            self.control.should_training_stop = True
            return
        super()._run_epoch(**rest)

    def _save_beside_weights(self, folder: Path) -> None:
        self.loop.run.save(folder)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is not None:
            self.loop.run.load(Path(checkpoint))


def _run_over(
    pool: Any, sampler: Any, gate: Any, *, prompt_ids: Iterable[str] | None, seed: int
) -> RunState:
    """The state of a new run: a sampler and a gate over this pool of prompts."""
    if isinstance(pool, IterableDataset):
        raise ConfigError(
            "train_dataset is a stream, and prompts are chosen from a pool whose rows can be read"
            " in any order; make it a map-style Dataset first, e.g. with Dataset.from_generator"
        )
    if not isinstance(pool, Dataset) or not len(pool):
        raise ConfigError(
            "train_dataset must be a datasets.Dataset with at least one row, got"
            f" {type(pool).__name__}"
        )
    ids = prompt_ids_of(pool) if prompt_ids is None else tuple(prompt_ids)
    return RunState(
        sampler=sampler_from(sampler, pool, seed=seed, prompt_ids=ids), gate=gate_from(gate)
    )


def _processor_of(model: Any) -> Any:
    """The processor of a model's name; None where TRL finds it, or says why it does not.

    TRL asks `AutoProcessor`, which opens most processors with torchvision only.
    """
    if not isinstance(model, str) or is_torchvision_available():
        return None
    try:
        return load_processor(model)
    except VasariError:
        return None


def _check_environment(run: RunState) -> None:
    if run.sampler.refresh_every or run.gate.num_screening:
        raise ConfigError(
            "with an environment_factory no prompt can be rolled out outside a batch: choose a"
            " sampler that asks for no refresh (e.g. weighted_passes, or vas with"
            " refresh='online') and a gate that does not screen"
        )
