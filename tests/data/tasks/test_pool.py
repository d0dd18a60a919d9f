"""Pools: repeatable, disjoint by construction, and imperfect only where asked."""

from __future__ import annotations

import hashlib
import io
import json
from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from vasari.core.errors import ConfigError, DataError
from vasari.core.settings import Settings, parse_settings
from vasari.data.prompt_file import check_images, read_prompts, write_prompts
from vasari.data.tasks.families import FAMILIES
from vasari.data.tasks.pool import PoolSettings, TaskSettings, check_disjoint, make_pool, split_of
from vasari.data.tasks.problem import Problem
from vasari.data.tasks.scene import Scene, Text
from vasari.data.tasks.thinker import Thinker
from vasari.records import Prompt

NAMES = ("bars", "clocks", "matrices")
seeds = st.integers(0, 2**40)


def pool_of(
    num_prompts: int = 12,
    *,
    split: str = "train",
    seed: int = 0,
    stream: str = "rl",
    **fields: object,
) -> list[Prompt]:
    settings_ = PoolSettings(
        **{"families": NAMES, "num_prompts": num_prompts, "image_size": 32} | fields
    )
    return make_pool(settings_, split=split, seed=seed, stream=stream)


@dataclass
class Numbers:
    """A family of `size` pictures of one number, whose reasoning may be made wrong."""

    size: int
    error: int = 0
    name: str = "numbers"
    levels: tuple[str, ...] = ("1", "hard")

    def sample(self, rng: np.random.Generator, level: str) -> Problem:
        value = int(rng.integers(self.size))

        def think(thinker: Thinker) -> str:
            return str(thinker.read("it says", value + self.error))

        scene = Scene((Text((0.5, 0.5), str(value)),))
        return Problem(
            scene=scene,
            scene_key=str(value),
            question="What?",
            kind="number",
            think=think,
            answer=str(value),
        )


@given(seeds, st.sampled_from(["train", "validation", "test"]))
@settings(max_examples=4, deadline=None)
def test_the_same_seed_gives_the_same_prompts(seed, split):
    assert pool_of(seed=seed, split=split, slip_rate=0.3) == pool_of(
        seed=seed, split=split, slip_rate=0.3
    )


@given(seeds, seeds)
@settings(max_examples=4, deadline=None)
def test_splits_share_no_scene_whatever_their_seeds(one, two):
    pools = {
        "train": pool_of(seed=one),
        "cold": pool_of(seed=two, stream="sft"),
        "test": pool_of(seed=two, split="test"),
        "validation": pool_of(seed=one, split="validation"),
    }
    check_disjoint(
        train=[*pools["train"], *pools["cold"]], test=pools["test"], validation=pools["validation"]
    )


@given(seeds)
@settings(max_examples=4, deadline=None)
def test_a_slip_rate_or_a_style_changes_no_problem(seed):
    plain = pool_of(seed=seed)
    for other in (
        pool_of(seed=seed, slip_rate=1.0),
        pool_of(seed=seed, styles=("chalk",)),
        pool_of(seed=seed, image_size=56),
    ):
        assert [(p.id, p.question, p.answer) for p in other] == [
            (p.id, p.question, p.answer) for p in plain
        ]


@given(seeds)
@settings(max_examples=4, deadline=None)
def test_a_longer_pool_begins_with_the_shorter_one(seed):
    assert pool_of(40, seed=seed, slip_rate=0.2)[:13] == pool_of(13, seed=seed, slip_rate=0.2)


def test_every_prompt_of_a_pool_is_another_one():
    pool = pool_of(400)
    assert (
        len({prompt.id for prompt in pool})
        == len({(p.metadata["scene"], p.question) for p in pool})
        == 400
    )


def test_another_seed_or_stream_gives_other_prompts():
    first = {(p.metadata["scene"], p.question) for p in pool_of(100)}
    for other in (pool_of(100, seed=1), pool_of(100, stream="sft")):
        assert len(first & {(p.metadata["scene"], p.question) for p in other}) < 20


def test_families_take_turns_and_ids_say_where_a_prompt_comes_from():
    prompt = pool_of(3, split="test", stream="eval")[2]
    head = f"test-eval-{NAMES[2]}-{prompt.difficulty}-00002-{prompt.metadata['scene'][:8]}"
    assert (prompt.category, prompt.id) == (NAMES[2], head)


@pytest.mark.slow
@pytest.mark.parametrize("split", ["train", "test"])
def test_without_slips_every_solution_of_every_family_reaches_the_reference(split):
    for prompt in pool_of(6 * len(FAMILIES), families=tuple(FAMILIES), split=split):
        assert (
            prompt.metadata["final"],
            prompt.metadata["slips"],
            prompt.metadata["imperfection"],
        ) == (prompt.answer, 0, None)
        assert prompt.solution.endswith(".")


def test_slips_are_counted_and_lead_to_wrong_answers():
    pool = pool_of(200, slip_rate=0.2)
    wrong = [prompt for prompt in pool if prompt.metadata["final"] != prompt.answer]
    assert 20 < len(wrong) < 180
    assert all(prompt.metadata["slips"] for prompt in wrong)


def test_imperfect_prompts_come_in_the_numbers_asked_for():
    pool = pool_of(100, wrong_label_share=0.2, guessable_share=0.1, unsolvable_share=0.05)
    assert Counter(prompt.metadata["imperfection"] for prompt in pool) == {
        None: 65,
        "wrong_label": 20,
        "guessable": 10,
        "unsolvable": 5,
    }


def test_each_imperfection_is_what_it_says():
    pool = pool_of(120, wrong_label_share=0.3, guessable_share=0.3, unsolvable_share=0.3)
    by_name = {
        name: [p for p in pool if p.metadata["imperfection"] == name]
        for name in ("wrong_label", "guessable", "unsolvable")
    }
    assert all(prompt.metadata["final"] != prompt.answer for prompt in by_name["wrong_label"])
    assert all(
        len(p.choices) == 2 and p.metadata["final"] == p.answer for p in by_name["guessable"]
    )
    blank = {
        len(Image.open(io.BytesIO(p.images[0].data)).getcolors()) for p in by_name["unsolvable"]
    }
    drawn = {
        len(Image.open(io.BytesIO(p.images[0].data)).getcolors()) for p in by_name["wrong_label"]
    }
    assert blank == {1}
    assert min(drawn) > 1


def test_level_weights_decide_the_levels():
    levels = Counter(prompt.difficulty for prompt in pool_of(200, level_weights={"1": 3, "2": 1}))
    assert set(levels) == {"1", "2"}
    assert levels["1"] / 200 == pytest.approx(0.75, abs=0.08)


def test_the_shape_of_dynamath_gives_few_middling_prompts():
    levels = Counter(prompt.difficulty for prompt in pool_of(300, shape="dynamath"))
    assert [levels[level] / 300 for level in "123"] == pytest.approx(
        [0.327, 0.165, 0.508], abs=0.08
    )


def test_scenes_are_split_by_the_digest_of_their_key():
    prompts = make_pool(
        PoolSettings(families=("numbers",), num_prompts=20),
        split="test",
        seed=0,
        families={"numbers": Numbers(1000)},
    )
    for prompt in prompts:
        digest = hashlib.blake2b(prompt.answer.encode(), digest_size=8).hexdigest()
        assert (prompt.metadata["scene"], int(digest, 16) % 10, split_of(digest)) == (
            digest,
            9,
            "test",
        )


def test_a_family_that_is_too_small_is_named_with_its_level():
    with pytest.raises(
        ConfigError,
        match=r"family 'numbers', level (1|hard), is too small: no new problem for the train split",
    ):
        make_pool(
            PoolSettings(families=("numbers",), num_prompts=20),
            split="train",
            seed=0,
            families={"numbers": Numbers(5)},
        )


def test_reasoning_that_contradicts_its_reference_is_refused():
    families = {"numbers": Numbers(90, error=1)}
    with pytest.raises(
        DataError,
        match=r"family 'numbers', level .*: exact reasoning finds '\d+', the reference says '\d+'",
    ):
        make_pool(
            PoolSettings(families=("numbers",), num_prompts=2),
            split="train",
            seed=0,
            families=families,
        )


def test_progress_is_told():
    told: list[tuple[int, int]] = []
    make_pool(
        PoolSettings(families=NAMES, num_prompts=3),
        split="train",
        seed=0,
        progress=lambda *counts: told.append(counts),
    )
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_a_pool_can_be_stored_and_its_images_are_sound(tmp_path):
    pool = pool_of(30)
    write_prompts(tmp_path / "p.parquet", pool)
    assert read_prompts(tmp_path / "p.parquet") == pool
    check_images(pool)
    assert json.loads(json.dumps(pool[0].metadata)) == pool[0].metadata


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"families": ()}, "at least one family"),
        ({"families": ("bars", "bars")}, "each once"),
        ({"num_prompts": 0}, "num_prompts must be a whole number of at least 1, got 0"),
        ({"level_weights": {"1": -1.0}}, "level_weights must be finite and not negative"),
        ({"shape": "flat"}, "shape must be one of .*got 'flat'"),
        ({"shape": "dynamath", "level_weights": {"1": 1.0}}, "leave level_weights empty"),
        ({"styles": ()}, "styles must be some of"),
        ({"styles": ("sketch",)}, r"styles must be some of .*got \('sketch',\)"),
        (
            {"image_size": 8},
            "image_size must be a whole number of at least 16 and at most 4096, got 8",
        ),
        ({"slip_rate": 1.5}, "slip_rate must be at least 0 and at most 1, got 1.5"),
        (
            {"wrong_label_share": -0.1},
            "wrong_label_share must be at least 0 and at most 1, got -0.1",
        ),
        ({"wrong_label_share": 0.6, "guessable_share": 0.5}, "sum to at most 1"),
    ],
)
def test_settings_out_of_range_are_refused(fields, message):
    with pytest.raises(ConfigError, match=message):
        PoolSettings(**{"families": ("bars",), "num_prompts": 4} | fields)


def test_settings_without_a_count_become_those_of_a_pool():
    shown = TaskSettings(families=("bars", "dice"), slip_rate=0.5, guessable_share=0.1)
    expected = PoolSettings(
        families=("bars", "dice"), slip_rate=0.5, num_prompts=7, styles=("plain",)
    )
    assert shown.pool(7, guessable_share=0.0, styles=("plain",)) == expected


def test_a_settings_class_of_a_recipe_holds_its_pool_to_the_same_bounds():
    class Entry(Settings):
        tasks: PoolSettings

    content = {"tasks": {"families": ["bars"], "num_prompts": 2}}
    assert parse_settings(Entry, content, where="recipe").tasks == PoolSettings(
        families=("bars",), num_prompts=2
    )
    content["tasks"] |= {"image_size": 8, "colour": "red"}
    with pytest.raises(ConfigError, match=r"recipe: .*unknown key 'tasks\.colour'"):
        parse_settings(Entry, content, where="recipe")
    del content["tasks"]["colour"]
    with pytest.raises(
        ConfigError, match=r"recipe: tasks.* image_size must be a whole number of at"
    ):
        parse_settings(Entry, content, where="recipe")


@pytest.mark.parametrize(
    ("fields", "options", "message"),
    [
        ({}, {"split": "dev"}, "split must be one of .*got 'dev'"),
        ({}, {"seed": -1}, "seed must not be negative, got -1"),
        ({}, {"stream": "a-b"}, "stream must be lower-case letters"),
        ({"families": ("spheres",)}, {}, "task must be one of bars, .*; got .spheres."),
        ({"wrong_label_share": 0.1}, {"split": "test"}, "a test pool takes no imperfect prompts"),
        (
            {"unsolvable_share": 0.1},
            {"split": "validation"},
            "a validation pool takes no imperfect prompts",
        ),
        ({"styles": ("matplotlib",)}, {}, "style 'matplotlib' is held out"),
        ({"level_weights": {"easy": 1.0}}, {}, "names levels that no family has: easy"),
        ({"level_weights": {"1": 0.0}}, {}, "family 'bars' has levels .* and none has a weight"),
    ],
)
def test_settings_that_do_not_fit_the_pool_are_refused(fields, options, message):
    settings_ = PoolSettings(**{"families": ("bars",), "num_prompts": 4} | fields)
    with pytest.raises(ConfigError, match=message):
        make_pool(settings_, **{"split": "train", "seed": 0} | options)


def test_a_shared_scene_is_named_with_both_prompts():
    prompt = pool_of(1)[0]
    with pytest.raises(
        DataError,
        match=(
            f"prompt 'other' of pool 'test' shows the scene of prompt '{prompt.id}' of pool 'train'"
        ),
    ):
        check_disjoint(train=[prompt], test=[replace(prompt, id="other")])


def test_prompts_without_a_scene_cannot_be_checked():
    with pytest.raises(DataError, match="prompt 'x' of pool 'test' has no scene digest"):
        check_disjoint(test=[Prompt(id="x", question="q", answer="1")])
