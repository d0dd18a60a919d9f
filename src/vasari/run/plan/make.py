"""Making of a recipe's plan, from its settings, its prompts and its model's config."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from vasari.core.errors import ConfigError, StateError, VasariError
from vasari.core.files import free_bytes
from vasari.core.folders import default_folder
from vasari.model import resolve_model
from vasari.model.path import require_training
from vasari.run.checks import grpo_problems, sft_problems, token_counter
from vasari.run.plan.budget import plan_grpo, plan_sft
from vasari.run.plan.costs import (
    Throughput,
    checkpoint_bytes,
    generated_tokens,
    group_bytes,
    hours,
    model_bytes,
    updated_tokens,
)
from vasari.run.plan.division import division_of
from vasari.run.plan.lengths import longest_answer, prompt_lengths
from vasari.run.plan.memory import GIB, DeviceMemory
from vasari.run.plan.model import planned_model
from vasari.run.plan.plan import Plan, PlanOptions
from vasari.run.plan.prompts import planned_prompts
from vasari.run.plan.rollouts import Count
from vasari.run.plan.stages import (
    Gpus,
    Lengths,
    evaluation_memory,
    evaluation_vllm_problem,
    fitting,
    grpo_memory,
    other_ways,
    sft_memory,
    vllm_problem,
)
from vasari.run.plan.tokens import TokenSummary, summarise_tokens
from vasari.run.recipe import Recipe
from vasari.run.requirements import missing_packages

if TYPE_CHECKING:  # torch takes seconds to import
    from vasari.model.prompt_tokens import TokenCounter

T = TypeVar("T")


def make_plan(recipe: Recipe, *, folder: Path, options: PlanOptions) -> Plan:
    """Plan a recipe's run, without loading weights or writing a file.

    Args:
        recipe: The recipe.
        folder: What its paths are relative to.
        options: GPUs, and what is assumed.

    Raises:
        MissingExtraError: A package of `vasari[train]` is missing.
        DataError: A prompt file is there and cannot be read.
    """
    require_training()
    return _Planner(recipe, folder, options).plan()


class _Planner:
    """Puts a plan together: what is known of prompts and model first, then what follows from it."""

    def __init__(self, recipe: Recipe, folder: Path, options: PlanOptions) -> None:
        self._recipe = recipe
        self._folder = folder
        self._options = options
        self._prompts = planned_prompts(recipe, folder=folder, assumed=options.num_prompts)
        self._notes = list(self._prompts.notes)
        self._problems: list[VasariError] = [*missing_packages(recipe, "sft", "grpo", "evaluate")]
        self._model = self._collect(lambda: planned_model(recipe, folder))
        self._counter = self._collect(self._token_counter)
        self._sft = plan_sft(recipe, self._prompts)
        self._grpo = plan_grpo(recipe, self._prompts, self._notes)
        self._throughput = options.throughput

    def plan(self) -> Plan:
        """Return the plan."""
        recipe, options = self._recipe, self._options
        self._check_prompts()
        tokens = self._tokens()
        memory, others = self._collect(lambda: self._memory(tokens)) or ({}, {})
        disk = self._disk()
        if options.calibrates:
            self._collect(lambda: self._calibrate(tokens))
        return Plan(
            recipe=recipe.name,
            num_gpus=options.num_gpus,
            gpu_gib=options.gpu_gib,
            prompts=dict(self._prompts.sizes),
            tokens=tokens,
            model=None if self._model is None else self._model.plan,
            memory=memory,
            other_ways=others,
            sft=self._sft,
            grpo=self._grpo,
            generated=self._generated(),
            disk_bytes=disk,
            throughput=self._throughput,
            hours=self._hours(tokens),
            problems=tuple(dict.fromkeys(map(str, self._problems))),
            notes=tuple(self._notes),
        )

    def _collect(self, work: Callable[[], T]) -> T | None:
        """Return what `work` returns; if it raises an error of ours, keep it and return None."""
        try:
            return work()
        except VasariError as error:
            self._problems.append(error)
            return None

    def _token_counter(self) -> TokenCounter | None:
        """A counter of tokens with the model's processor; None where there is no processor yet."""
        if self._model is None:
            return None
        if self._recipe.model.path is None:
            self._notes.append(
                "a new model's tokenizer is made from the prompts: tokens are not counted"
            )
            return None
        from vasari.model.hub import require_reachable  # noqa: PLC0415  (not in the core)

        path = resolve_model(self._recipe.model.path, self._folder)
        try:
            require_reachable(path, "tokenizer_config.json")
        except StateError as error:
            self._notes.append(f"tokens are not counted without the model's processor: {error}")
            return None
        return token_counter(path, self._recipe)

    def _generated_beside(self) -> int:
        """Rollouts of a prompt that transformers generates in refreshes or validation."""
        if self._grpo is None or self._recipe.grpo is None:
            return 0
        training, validation = self._grpo.training, self._recipe.grpo.validation_rollouts
        # Validation prompts of a number that is not known are likely to be there.
        measures = training.validation is None or training.validation.most > 0
        return max(training.rollouts_due, validation if measures else 0)

    def _generated(self) -> dict[str, float]:
        """Tokens to generate, by purpose."""
        if self._grpo is None or self._recipe.grpo is None:
            return {}
        completion = self._recipe.grpo.trl.max_completion_length
        longest = dict.fromkeys(self._grpo.rollouts, completion)
        longest["evaluation"] = self._recipe.evaluate.max_tokens
        return generated_tokens(self._grpo.rollouts, longest, self._throughput)

    def _disk(self) -> float | None:
        """Room that the run's folder takes, at most; None without a model."""
        recipe, model, num = self._recipe, self._model, self._options.num_gpus
        if model is None:
            return None
        total = self._prompts.stored_bytes
        for name, settings in (("sft", recipe.sft), ("grpo", recipe.grpo)):
            if settings is None:
                continue
            weights = model.stages[name].weights(settings)
            division = division_of(settings.trl, num_gpus=num)
            checkpoint = checkpoint_bytes(weights, division, adapters=settings.lora is not None)
            # One more is written before the oldest is removed; beside them stand a model, or two.
            kept = 2 if recipe.grpo is None or name == "sft" else recipe.grpo.keep_checkpoints
            total += (kept + 1) * checkpoint
            total += (1 if name == "sft" else 2) * model_bytes(weights, division)
        if self._grpo is not None:
            training, tokens = self._grpo.training, self._generated()
            refresh = training.refresh or Count(least=0, most=0)
            total += group_bytes(training.train + refresh, tokens["train"])
            total += group_bytes(Count(least=0, most=0), tokens.get("refresh", 0.0))
        free = free_bytes(self._options.out or default_folder(recipe.name))
        if total > free:
            self._problems.append(
                ConfigError(
                    f"the run's folder takes up to {total / GIB:,.0f} GiB and its disk has"
                    f" {free / GIB:,.0f} GiB left; choose another --out, or lower"
                    " grpo.keep_checkpoints"
                )
            )
        return total

    def _calibrate(self, tokens: Mapping[str, TokenSummary]) -> None:
        """Measure the throughput by a few real steps; what the user states goes before it."""
        recipe, pool = self._recipe, self._prompts.prompts.get("train", [])
        if recipe.grpo is None or recipe.model.path is None or not pool:
            self._notes.append("not calibrated: it needs a grpo section, a model and prompts")
            return
        from vasari.run.plan.calibrated import calibrated  # noqa: PLC0415  (torch takes seconds)

        path = resolve_model(recipe.model.path, self._folder)
        mean = tokens["train"].mean if "train" in tokens else 0.0
        self._throughput, note = calibrated(
            recipe, path, pool, stated=self._options.throughput, prompt_tokens=mean
        )
        self._notes.append(note)

    def _hours(self, tokens: Mapping[str, TokenSummary]) -> dict[str, float]:
        """Hours by purpose at the throughputs that are known."""
        throughput, recipe = self._throughput, self._recipe
        updated: dict[str, float] = {}
        if self._model is None:
            return updated
        if self._sft is not None:
            split = self._prompts.learnt_from(recipe)
            lengths = self._lengths(tokens, split, "cold_start")
            seen = self._sft.num_prompts * self._sft.epochs
            updated["sft"] = seen * (lengths.prompt_mean + lengths.answer)
        if self._grpo is not None and recipe.grpo is not None:
            lengths = self._lengths(tokens, "train")
            completion = recipe.grpo.trl.max_completion_length
            updated |= updated_tokens(
                self._grpo.training,
                prompt=lengths.prompt_mean,
                completion=min(completion, throughput.completion or completion),
            )
        if self._grpo is not None or updated:
            self._note_missing_pace(throughput)
        return hours(self._generated(), updated, throughput, num_gpus=self._options.num_gpus)

    def _note_missing_pace(self, throughput: Throughput) -> None:
        """Say which options give the hours that are not known."""
        lacking = {
            "--tokens-per-second": throughput.generated,
            "--update-tokens-per-second": throughput.updated,
        }
        options = " and ".join(option for option, pace in lacking.items() if pace is None)
        if options:
            self._notes.append(f"hours are not known without {options}, or --calibrate")

    def _check_prompts(self) -> None:
        recipe, prompts = self._recipe, self._prompts
        num = self._options.num_gpus
        if recipe.sft is not None:
            self._problems += sft_problems(
                recipe, prompts.prompts, self._counter, num_processes=num
            )
        if recipe.grpo is not None:
            self._problems += grpo_problems(
                recipe, prompts.prompts, prompts.sizes, self._counter, num_processes=num
            )

    def _tokens(self) -> dict[str, TokenSummary]:
        found: dict[str, TokenSummary] = {}
        if self._counter is None:
            return found
        for split, known in self._prompts.prompts.items():
            summary = summarise_tokens(
                self._counter,
                known,
                size=self._prompts.sizes[split],
                sample=self._options.sample,
                seed=self._recipe.seed,
            )
            if summary is not None:
                found[split] = summary
        return found

    def _lengths(self, tokens: Mapping[str, TokenSummary], *splits: str) -> Lengths:
        assert self._model is not None  # noqa: S101  (the callers')
        answer = 0
        if self._recipe.sft is not None and "cold_start" in splits:
            learnt_from = self._prompts.learnt_from(self._recipe)
            known = self._prompts.prompts.get(learnt_from, [])
            answer = longest_answer(self._counter, known, self._recipe)
        return prompt_lengths(
            tokens, splits, self._recipe, self._model.config, self._notes, answer=answer
        )

    def _memory(
        self, tokens: Mapping[str, TokenSummary]
    ) -> tuple[dict[str, DeviceMemory], dict[str, DeviceMemory]]:
        """Memory of one GPU by stage, and in other ways to train by GRPO."""
        recipe, options, model = self._recipe, self._options, self._model
        found: dict[str, DeviceMemory] = {}
        others: dict[str, DeviceMemory] = {}
        if model is None:
            return found, others
        kinds = getattr(model.config.get_text_config(), "layer_types", None) or ()
        if "linear_attention" in kinds:
            self._notes.append(
                "layers of linear attention are counted as others: without fast kernels they keep"
                " several times the activations"
            )
        num, gpu = options.num_gpus, options.gpu_bytes
        if recipe.sft is not None:
            lengths = self._lengths(tokens, self._prompts.learnt_from(recipe), "cold_start")
            found["sft"] = sft_memory(recipe.sft, model.stages["sft"], lengths, num_gpus=num)
        if recipe.grpo is not None:
            lengths = self._lengths(tokens, "train", "validation")
            gpus = Gpus(num=num, memory=gpu, beside=self._generated_beside())
            grpo = recipe.grpo
            found["grpo"] = grpo_memory(grpo, model.stages["grpo"], lengths, gpus)
            if problem := vllm_problem(grpo, model.stages["grpo"], lengths, gpus):
                self._problems.append(problem)
            lengths = self._lengths(tokens, "test")
            found["evaluate"] = evaluation_memory(recipe, model.stages["grpo"], lengths, gpu)
            if problem := evaluation_vllm_problem(
                recipe.evaluate, model.stages["grpo"], lengths, gpu
            ):
                self._problems.append(problem)
            if options.compares:
                lengths = self._lengths(tokens, "train", "validation")
                others = other_ways(grpo, model.ways(grpo), lengths, gpus)
        if gpu is not None:
            misfits = (fitting(memory, gpu, stage=stage) for stage, memory in found.items())
            self._problems += [error for error in misfits if error is not None]
        return found, others
