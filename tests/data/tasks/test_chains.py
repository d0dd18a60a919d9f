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
    "ordered_3": ("blue 5, yellow 6, red 4, green 7", "yellow plus green minus red", "9"),
    "mixed_3": ("green 4, blue 9, yellow 8, red 1", "green minus red plus yellow", "11"),
    "plus_4": ("yellow 4, green 3, red 2, blue 1", "red plus yellow plus green plus blue", "10"),
    "ordered_4": (
        "yellow 4, blue 5, red 6, green 7",
        "green plus blue plus yellow minus red",
        "10",
    ),
    "mixed_4": ("yellow 2, blue 6, green 4, red 9", "blue minus yellow plus green plus red", "17"),
    "plus_5": (
        "red 3, blue 5, green 2, yellow 8",
        "blue plus green plus yellow plus red plus blue",
        "23",
    ),
    "ordered_5": (
        "red 6, yellow 3, green 7, blue 1",
        "green plus red minus yellow minus blue minus yellow",
        "6",
    ),
    "mixed_5": (
        "red 4, green 6, yellow 2, blue 3",
        "green plus red minus blue plus yellow minus red",
        "5",
    ),
    "plus_6": (
        "red 8, green 4, yellow 6, blue 7",
        "green plus red plus yellow plus blue plus yellow plus blue",
        "38",
    ),
    "ordered_6": (
        "green 4, red 8, yellow 2, blue 7",
        "yellow plus red plus blue minus green minus red minus green",
        "1",
    ),
    "mixed_6": (
        "red 9, blue 5, yellow 1, green 3",
        "red minus yellow plus blue minus green plus blue plus green",
        "18",
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
    assert drawn["mixed_4"].think(thinker) == "17"
    assert thinker.text() == "blue 6. yellow 2. 6-2=4. green 4. 4+4=8. red 9. 8+9=17."


@pytest.mark.parametrize("level", CHAINS.levels)
def test_a_level_says_how_many_terms_there_are_and_which_signs(level):
    kind, num = level.split("_")
    words = {"plus": {"plus"}, "minus": {"minus"}}.get(kind, {"plus", "minus"})
    rng = np.random.default_rng(0)
    for _ in range(30):
        problem = CHAINS.sample(rng, level)
        heights = dict(re.findall(r"(\w+) (\d)", problem.scene_key.removeprefix("bars ")))
        chain = problem.question.removeprefix("What is ").removesuffix("?").split()
        assert len(chain) == 2 * int(num) - 1
        assert set(chain[1::2]) == words
        assert ("minus plus" in " ".join(chain[1::2])) == (kind == "mixed")
        value = 0
        for sign, name in zip(["plus", *chain[1::2]], chain[::2], strict=True):
            value += int(heights[name]) * (1 if sign == "plus" else -1)
            assert value >= 0
        assert problem.answer == str(value)


def test_the_family_keeps_the_contract():
    check_task_family(CHAINS, verify_answer)
