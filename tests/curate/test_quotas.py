"""What the parts of an RL set have room for, over shards: the choice of one list, in a few bytes a
prompt."""

from __future__ import annotations

import dataclasses
import random
import tracemalloc

import pytest

pytest.importorskip("aiohttp")

from vasari.curate.choose.balance import Pool, balance_prompts
from vasari.curate.choose.select import choose_for
from vasari.curate.recipe import RlPart
from vasari.curate.run.rows import write_rows
from vasari.curate.stage import RL_PART
from vasari.records import Prompt


def write_shards(folder, prompts, size):
    paths = []
    for number, start in enumerate(range(0, len(prompts), size)):
        paths.append(folder / f"part-{number:05d}.parquet")
        write_rows(paths[-1], prompts[start : start + size], {}, folder)
    return paths


def test_parts_over_shards_choose_as_if_each_had_its_prompts_in_one_list(tmp_path):
    draw = random.Random(0)
    prompts = [
        Prompt(
            id=f"p{number}",
            question="?",
            answer="1",
            category=draw.choice("xxyz"),
            metadata={RL_PART: draw.choice("ab"), "source": draw.choice("sst")},
        )
        for number in range(40)
    ]
    parts = [
        RlPart(name="a", target=6, categories=("x", "w")),
        RlPart(name="b", target=3, balance_by="source"),
    ]

    quotas = choose_for(parts, write_shards(tmp_path, prompts, 15), seed=2)
    found = {
        drop.id: drop.detail
        for first in (0, 15, 30)
        for drop in quotas.within(prompts[first : first + 15], first)
    }

    own = [prompt for prompt in prompts if prompt.metadata[RL_PART] == "a"]
    expected = {
        drop.id: f"part 'a': {drop.detail}"
        for drop in balance_prompts(own, 6, seed=2, categories=("w", "x")).dropped
    }
    others = [
        dataclasses.replace(prompt, category=prompt.metadata["source"])
        for prompt in prompts
        if prompt.metadata[RL_PART] == "b"
    ]
    expected |= {
        drop.id: f"part 'b': {drop.detail}" for drop in balance_prompts(others, 3, seed=2).dropped
    }
    assert found == expected
    assert 0 < len(found) < 40


def test_a_part_without_prompts_lacks_its_whole_target(tmp_path):
    prompts = [Prompt(id="p", question="?", answer="1", category="x", metadata={RL_PART: "a"})]
    parts = [
        RlPart(name="a", target=2, categories=("x",)),
        RlPart(name="b", target=5, balance_by="none"),
    ]
    notes = choose_for(parts, write_shards(tmp_path, prompts, 1), seed=0).notes
    assert notes == {
        "target of a": 2,
        "a: x": 1,
        "short of a: x": 1,
        "missing in a": 1,
        "target of b": 5,
        "missing in b": 5,
    }


def test_a_pool_takes_some_twenty_bytes_a_prompt_until_it_is_chosen_from():
    tracemalloc.start()
    try:
        pool = Pool(seed=0)
        for number in range(20_000):
            pool.add(f"prompt-{number}", f"c{number % 13}")
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # A digest of 16 bytes and a number of 4; growing arrays keep up to an eighth more than they
    # hold.
    assert held / 20_000 < 25
