"""The small models of families are small, always the same, and open as transformers' own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from stand_ins import STAND_INS, make_stand_in, mixed_pool


@pytest.mark.parametrize("name", STAND_INS)
def test_a_family_opens_as_transformers_own_class_with_each_of_its_weights(
    name: str, family_folder: Callable[[str], Path]
) -> None:
    from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

    kind = AutoModelForImageTextToText if STAND_INS[name].has_images else AutoModelForCausalLM
    model, loaded = kind.from_pretrained(str(family_folder(name)), output_loading_info=True)
    assert not any(loaded.values()), loaded
    assert sum(weight.numel() for weight in model.parameters()) < 300_000


def test_a_folder_has_the_same_bytes_whenever_it_is_made(
    tmp_path: Path, family_folder: Callable[[str], Path]
) -> None:
    first, again = family_folder("gemma3"), make_stand_in("gemma3", tmp_path / "again")
    assert {p.name: p.read_bytes() for p in first.iterdir()} == {
        p.name: p.read_bytes() for p in again.iterdir()
    }


def test_a_mixed_pool_has_prompts_without_an_image_with_one_of_two_sizes_and_with_both() -> None:
    from vasari.data.images import open_image

    sizes = [
        [open_image(ref, where=prompt.id).width for ref in prompt.images]
        for prompt in mixed_pool(2)
    ]
    assert sizes == [[], [56], [112], [56, 112]] * 2
