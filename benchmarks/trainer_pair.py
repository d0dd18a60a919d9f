"""Plain `trl.GRPOTrainer` and ours over the same prompts, settings and model, to be compared.

A part of `step_time.py`, `rollout_speed.py` and `gpu.py`; it prints nothing itself.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from datasets import Dataset
from transformers import PrinterCallback, TrainerCallback
from trl import GRPOTrainer
from typing_extensions import override

from vasari.data.images import open_image
from vasari.model.chat import target_text, user_text
from vasari.model.processor import load_processor
from vasari.records import Draw, GroupOutcome, Prompt
from vasari.sample import PromptSampler
from vasari.train.groups import VerifyPrompt, verify_prompt
from vasari.train.run_grpo import GrpoTraining
from vasari.train.settings import GrpoSettings
from vasari.train.trl_config import grpo_config
from vasari.train.weights import load_weights

SYSTEM = "Think, then answer."
ARMS = ("TRL", "ours")


@final
class InOrder(PromptSampler):
    """Sampler that draws the pool in its order, as TRL does without shuffling."""

    saved = ("place",)
    _place = 0

    @override
    def _draw(self, num_prompts: int) -> Draw:
        indices = (self._place + np.arange(num_prompts)) % self.num_prompts
        self._place += num_prompts
        return Draw(indices, ("uniform",) * num_prompts)

    @override
    def _observe(self, groups: Sequence[GroupOutcome]) -> None:
        pass

    @override
    def metrics(self) -> Mapping[str, float]:
        """Return no metrics."""
        return {}


@dataclass(frozen=True, kw_only=True)
class Task:
    """What both trainers train on."""

    model: str
    """Folder of the model."""
    prompts: Sequence[Prompt]
    settings: GrpoSettings
    longest_edge: int | None = None
    """Most pixels of an image, where more than the processor says."""
    verify: VerifyPrompt = verify_prompt
    """Says which rollouts are right; the reward is 1 for those."""


def ours(task: Task, out: Path) -> Any:
    """Our trainer as a recipe's run makes it, over the prompts in their order."""
    trainer = GrpoTraining(
        model_path=task.model,
        prompts=task.prompts,
        sampler=InOrder(num_prompts=len(task.prompts), seed=0),
        settings=task.settings,
        system=SYSTEM,
        out=out,
        seed=0,
        verify=task.verify,
    ).make_trainer()
    return _prepared(trainer, task)


def plain(task: Task, out: Path) -> Any:
    """TRL's trainer with the same weights and settings, over a data set of the same prompts."""
    config = grpo_config(task.settings, out, 0)
    config.shuffle_dataset = False
    trainer = GRPOTrainer(
        model=load_weights(task.model, task.settings, seed=0),
        reward_funcs=[_accuracy(task)],
        args=config,
        train_dataset=_rows(task.prompts),
        processing_class=load_processor(task.model),
    )
    trainer.remove_callback(PrinterCallback)
    return _prepared(trainer, task)


MAKE: Mapping[str, Callable[[Task, Path], Any]] = {"TRL": plain, "ours": ours}


def _prepared(trainer: Any, task: Task) -> Any:
    if task.longest_edge is not None:
        trainer.processing_class.image_processor.size["longest_edge"] = task.longest_edge
    trainer.args.save_strategy = "no"
    return trainer


def _rows(prompts: Sequence[Prompt]) -> Dataset:
    """The prompts as TRL's own examples have them: messages in text, and a column of images."""
    return Dataset.from_list(
        [
            {
                "prompt": [
                    {"role": "system", "content": SYSTEM},
                    {"role": "user", "content": user_text(prompt)},
                ],
                "images": [open_image(ref) for ref in prompt.images],
                "place": place,
            }
            for place, prompt in enumerate(prompts)
        ]
    )


def _accuracy(task: Task) -> Callable[..., list[float]]:
    """The same verdicts as our trainer asks for, as a reward function."""

    def accuracy(completions: Any, place: Sequence[int], **_: Any) -> list[float]:
        texts = [messages[0]["content"] for messages in completions]
        return [
            task.verify(task.prompts[own], text).value
            for own, text in zip(place, texts, strict=True)
        ]

    return accuracy


class Written:
    """Rollouts written down beforehand, in the place of generation (`_generate_single_turn`).

    A right one is the worked solution of its prompt, and a wrong one breaks off within it.

    Args:
        silent: Every second group has no right rollout.
    """

    def __init__(self, task: Task, *, silent: bool) -> None:
        tokenizer = load_processor(task.model).tokenizer
        size, rng = task.settings.rollouts_per_prompt, np.random.default_rng(0)
        self.tokens: list[list[int]] = []
        for place, prompt in enumerate(task.prompts):
            whole = tokenizer(target_text(prompt), add_special_tokens=False)["input_ids"]
            num_right = 0 if silent and place % 2 else int(rng.integers(1, size))
            right = rng.permutation(size) < num_right
            for is_right in right:
                kept = len(whole) if is_right else int(rng.uniform(0.2, 0.7) * len(whole))
                self.tokens.append([*whole[:kept], tokenizer.eos_token_id])

    def give_to(self, trainer: Any) -> None:
        """Let a trainer take these rollouts, in their order, in the place of its own."""
        place = 0

        def written(prompt_ids: Sequence[Any], *_: Any, **__: Any) -> Any:
            nonlocal place
            found = [
                self.tokens[row % len(self.tokens)] for row in range(place, place + len(prompt_ids))
            ]
            place += len(prompt_ids)
            return [list(own) for own in found], None

        trainer._generate_single_turn = written


class _Turn(TrainerCallback):  # type: ignore[misc]
    """Trainer callback that measures each batch, and lets the other trainer have its turn then."""

    def __init__(self, name: str, course: Alternation, updates: int) -> None:
        self._name, self._course, self._updates = name, course, updates

    def on_train_begin(self, _args: Any, state: Any, _control: Any, **_: Any) -> None:
        """Wait for the first turn."""
        self._begin(state)

    def on_step_end(self, _args: Any, state: Any, _control: Any, **_: Any) -> None:
        """After the last update of a batch, hand over."""
        if state.global_step % self._updates:
            return
        self._course.seconds[self._name].append(time.process_time() - self._started)
        if state.global_step < state.max_steps:
            self._course.hand_over(self._name)
            self._begin(state)

    def _begin(self, state: Any) -> None:
        self._course.wait(self._name)
        # The order in which the rollouts of a batch are divided into updates.
        torch.manual_seed(state.global_step)
        self._started = time.process_time()


class Alternation:
    """Trainings whose batches take turns, each training in a thread of its own.

    What `train` does is measured as a whole: data, log and callbacks too; in seconds of CPU time,
    which other processes do not lengthen much. The first batch of each is left out.
    """

    def __init__(self, trainers: Mapping[str, Any], updates: int) -> None:
        self.seconds: dict[str, list[float]] = {name: [] for name in trainers}
        self._trainers = trainers
        self._order = list(trainers)
        self._now = self._order[0]
        self._changed = threading.Condition()
        self._failed: BaseException | None = None
        for name, trainer in trainers.items():
            trainer.add_callback(_Turn(name, self, updates))

    def run(self) -> dict[str, np.ndarray[Any, Any]]:
        """Train all to the end, and return the CPU seconds of each batch but the first."""
        threads = [threading.Thread(target=self._train, args=(name,)) for name in self._order]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self._failed is not None:
            raise self._failed
        return {name: np.array(own[1:]) for name, own in self.seconds.items()}

    def _train(self, name: str) -> None:
        try:
            # Before the first turn too, only one works at a time.
            self.wait(name)
            self._trainers[name].train()
        except BaseException as error:  # noqa: BLE001  (raised again by `run`)
            self._failed = self._failed or error
        self.hand_over(name, ends=True)

    def wait(self, name: str) -> None:
        """Wait for the turn of this trainer."""
        with self._changed:
            self._changed.wait_for(lambda: self._now == name or self._failed is not None)
        if self._failed is not None:
            raise RuntimeError("the other trainer failed")

    def hand_over(self, name: str, *, ends: bool = False) -> None:
        """Let the next trainer have its turn."""
        with self._changed:
            place = self._order.index(name)
            following = self._order[(place + 1) % len(self._order)]
            if ends:
                self._order.remove(name)
            self._now = following
            self._changed.notify_all()


def median_ratio(above: np.ndarray[Any, Any], below: np.ndarray[Any, Any]) -> str:
    """Return the median of paired ratios with its 95% interval, by bootstrap over the pairs."""
    ratios = above / below
    draws = np.random.default_rng(0).choice(ratios, (4000, len(ratios)))
    low, high = np.quantile(np.median(draws, axis=1), [0.025, 0.975])
    return f"{np.median(ratios):.2f} ({low:.2f} to {high:.2f})"


def peak_mib() -> float:
    """Return the most memory that this process has had, in MiB.

    `ru_maxrss` would also be that of the process which started this one.
    """
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024
