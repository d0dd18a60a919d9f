"""What the training stages of a run compute with, and what the cold start is stopped by."""

import torch

from vasari.records import Prompt
from vasari.run.training import _of_the_same_kinds
from vasari.train.processes import computing_with


def prompt(name: str, family: str, level: str) -> Prompt:
    return Prompt(id=name, question="?", answer="1", category=family, difficulty=level)


def test_the_cold_start_is_validated_on_what_it_is_taught():
    examples = [prompt("a", "bars", "1"), prompt("b", "dice", "2")]
    validation = [
        prompt("c", "bars", "1"),
        prompt("d", "bars", "2"),
        prompt("e", "dice", "2"),
        prompt("f", "dice", "1"),
    ]
    assert [kept.id for kept in _of_the_same_kinds(validation, examples)] == ["c", "e"]


def test_validation_prompts_of_other_kinds_alone_are_all_used():
    validation = [prompt("c", "shapes", "1")]
    assert _of_the_same_kinds(validation, [prompt("a", "bars", "1")]) == validation


def test_threads_are_pinned_for_a_while():
    before = torch.get_num_threads()
    with computing_with(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before
    with computing_with(None):
        assert torch.get_num_threads() == before
