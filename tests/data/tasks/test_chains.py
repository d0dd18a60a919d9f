"""What the family of chains draws for a seed, word by word, and what its levels have in common."""

import re

import numpy as np
import pytest

from vasari.data.tasks.check import check_task_family
from vasari.data.tasks.families.chains import CHAINS
from vasari.data.tasks.thinker import Thinker
from vasari.verify import verify_answer

# Read off the bars and worked out by hand, after a look at what seed 5 draws.
SEED_5 = {
    "plus_2": ("yellow 9, blue 8, green 2, red 4", "yellow plus blue", "17"),
    "minus_2": ("green 3, yellow 9, blue 5, red 4", "blue minus green", "2"),
    "plus_3": ("yellow 1, blue 7, red 2, green 6", "red plus green plus blue", "15"),
    "minus_3": ("blue 7, yellow 2, green 4, red 1", "blue minus green minus red", "2"),
    "minus_first_3": ("blue 9, yellow 6, red 3, green 5", "blue minus red plus green", "11"),
    "minus_last_3": ("blue 2, green 3, yellow 9, red 6", "blue plus red minus green", "5"),
    "plus_4": ("green 7, red 1, blue 8, yellow 4", "yellow plus blue plus green plus red", "20"),
    "minus_first_4": (
        "blue 4, red 1, green 2, yellow 5",
        "blue minus green plus yellow plus red",
        "8",
    ),
    "minus_last_4": (
        "yellow 1, blue 8, red 3, green 9",
        "red plus blue plus yellow minus green",
        "3",
    ),
    "mixed_4": ("yellow 1, green 5, red 4, blue 2", "red minus yellow plus green minus blue", "6"),
    "plus_5": (
        "green 8, blue 9, yellow 1, red 5",
        "blue plus yellow plus green plus red plus yellow",
        "24",
    ),
    "minus_first_5": (
        "red 4, yellow 3, blue 7, green 8",
        "blue minus red plus yellow plus green plus yellow",
        "17",
    ),
    "minus_last_5": (
        "red 5, yellow 6, blue 1, green 7",
        "blue plus green plus red plus yellow minus green",
        "12",
    ),
    "mixed_5": (
        "blue 2, yellow 1, green 8, red 4",
        "green minus yellow plus blue minus red minus blue",
        "3",
    ),
    "plus_6": (
        "green 6, yellow 4, red 2, blue 8",
        "blue plus green plus red plus yellow plus red plus green",
        "28",
    ),
    "minus_first_6": (
        "blue 6, green 3, yellow 7, red 1",
        "yellow minus blue plus green plus red plus green plus blue",
        "14",
    ),
    "minus_last_6": (
        "red 9, yellow 2, blue 6, green 4",
        "green plus yellow plus blue plus red plus yellow minus red",
        "14",
    ),
    "mixed_6": (
        "red 7, blue 4, green 6, yellow 8",
        "yellow plus green minus blue plus red minus blue minus yellow",
        "5",
    ),
}


def test_a_seed_draws_these_questions():
    rng = np.random.default_rng(5)
    drawn = {level: CHAINS.sample(rng, level) for level in CHAINS.levels}
    assert {level: (one.scene_key, one.question, one.answer) for level, one in drawn.items()} == {
        level: (f"bars {bars}", f"What is {chain}?", answer)
        for level, (bars, chain, answer) in SEED_5.items()
    }


def test_a_chain_is_worked_out_one_term_at_a_time():
    rng = np.random.default_rng(5)
    drawn = {level: CHAINS.sample(rng, level) for level in CHAINS.levels}
    thinker = Thinker(np.random.default_rng(0))
    assert drawn["minus_first_4"].think(thinker) == "8"
    assert thinker.text() == "blue 4. green 2. 4-2=2. yellow 5. 2+5=7. red 1. 7+1=8."


def test_a_teacher_who_errs_at_times_takes_one_sign_for_the_other():
    rng = np.random.default_rng(0)
    texts = []
    for seed in range(200):
        thinker = Thinker(np.random.default_rng(seed), slip_rate=0.3)
        CHAINS.sample(rng, "plus_2").think(thinker)
        texts.append(thinker.text())
    wrong = sum("-" in text for text in texts)
    assert 0.2 < wrong / 200 < 0.4


@pytest.mark.parametrize("level", CHAINS.levels)
def test_a_level_says_how_many_terms_there_are_and_which_signs(level):
    kind, num = level.rsplit("_", 1)
    rng = np.random.default_rng(0)
    for _ in range(30):
        problem = CHAINS.sample(rng, level)
        heights = dict(re.findall(r"(\w+) (\d)", problem.scene_key.removeprefix("bars ")))
        chain = problem.question.removeprefix("What is ").removesuffix("?").split()
        assert len(chain) == 2 * int(num) - 1
        signs = " ".join(chain[1::2])
        found = {
            "plus": "minus" not in signs,
            "minus": "plus" not in signs,
            "minus_first": re.fullmatch("minus( plus)+", signs),
            "minus_last": re.fullmatch("(plus )+minus", signs),
        }
        assert [name for name, holds in found.items() if holds] == [kind] * (kind != "mixed")
        value = 0
        for sign, name in zip(["plus", *chain[1::2]], chain[::2], strict=True):
            value += int(heights[name]) * (1 if sign == "plus" else -1)
            assert value >= 0
        assert problem.answer == str(value)


def test_the_family_keeps_the_contract():
    check_task_family(CHAINS, verify_answer)
