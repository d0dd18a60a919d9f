"""One family under test: its folder, its prompts, and the trainings that several checks look at."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from stand_ins import STAND_INS, SYSTEM, held_out_pool, make_stand_in, mixed_pool

from checks.plain import Plain
from vasari.records import Prompt


@dataclasses.dataclass
class Lab:
    """A family's stand-in, and a folder to work in."""

    name: str
    work: Path
    _num_folders: int = 0

    @cached_property
    def folder(self) -> Path:
        """The model folder, as published."""
        return make_stand_in(self.name, self.work / self.name)

    @cached_property
    def plain(self) -> Plain:
        """What transformers alone makes of it."""
        return Plain(self.folder, system=SYSTEM)

    @property
    def has_images(self) -> bool:
        return STAND_INS[self.name].has_images

    @cached_property
    def pool(self) -> list[Prompt]:
        """Twelve prompts: without an image, a small one, a larger one, both, the latter within the
        question; of a text-only model only such without."""
        return self._readable(mixed_pool(3 if self.has_images else 8))

    @cached_property
    def held_out(self) -> list[Prompt]:
        """Prompts to validate on."""
        return self._readable(held_out_pool(1 if self.has_images else 2))

    def _readable(self, prompts: Sequence[Prompt]) -> list[Prompt]:
        marked = [
            dataclasses.replace(prompt, question=f"<image> or <image>? {prompt.question}")
            if len(prompt.images) > 1
            else prompt
            for prompt in prompts
        ]
        return [prompt for prompt in marked if self.has_images or not prompt.images]

    @property
    def close(self) -> float:
        """How far log-probabilities of a batch and of a single row may be apart in float32."""
        return 2e-3 if self.rounds_by_padding else 2e-4

    @property
    def rounds_by_padding(self) -> bool:
        """Whether float32 rounds so much that a calculation is better compared in float64."""
        # transformers' linear attention on a CPU does, in chunks of 64 positions: log-probabilities
        # were up to 4e-4 apart in float32, and those of the same trainings 9e-13 in float64.
        return "linear_attention" in str(self.plain.config)

    def fresh(self, name: str) -> Path:
        """A folder that does not exist yet, whose name begins with `name`."""
        self._num_folders += 1
        return self.work / f"{name}-{self._num_folders}"


Check = Callable[[Lab], None]
"""Raises an AssertionError that says what differs."""


def assert_equal_tensors(ours: Any, plain: Any, what: str) -> None:
    """Two mappings have the same tensors under the same names."""
    assert set(ours) == set(plain), f"{what}: {sorted(ours)} and not {sorted(plain)}"
    for name, expected in plain.items():
        found = ours[name]
        assert found.shape == expected.shape, (
            f"{what}: {name} is {tuple(found.shape)} and not {tuple(expected.shape)}"
        )
        assert torch.equal(found, expected), f"{what}: {name} differs"


def assert_close(ours: torch.Tensor, plain: torch.Tensor, what: str, *, by: float = 2e-4) -> None:
    """Two tensors differ by no more than `by`."""
    assert ours.shape == plain.shape, f"{what}: {tuple(ours.shape)} and not {tuple(plain.shape)}"
    # Equal infinities are buffers of Gemma 4.
    gaps = (ours.double() - plain.double()).abs().masked_fill(ours == plain, 0.0)
    apart = gaps.max().item() if ours.numel() else 0.0
    assert apart <= by, f"{what}: {apart:.2e} apart"
