"""Who a curation asks: a judge where the rules leave an answer open, and one server's limits kept
over shards and stages."""

from __future__ import annotations

import json
import time

import pytest
import yaml

pytest.importorskip("aiohttp")

from vasari.curate.recipe import load_curation
from vasari.curate.run.job import curate
from vasari.data.prompt_file import read_prompts

THOUGHT = (
    "The text speaks of an animal that stands in the garden of the house, and I read what is said"
    " of it once more from the start to the end. So that is what is shown, and it is the answer."
)
# What the reference says, and how the teacher says it: in the same words, in others, and something
# else.
ANIMALS = {
    "same": ("a happy dog", "a happy dog"),
    "other words": ("a sleeping cat", "a cat that sleeps"),
    "wrong": ("a tired horse", "a duck with a hat"),
    "other words too": ("an old bird", "a bird of great age"),
}
ACCEPTED = {"a cat that sleeps", "a bird of great age"}


@pytest.fixture
def garden(scripted_server, tmp_path):
    """Rows with answers in words, and a server that answers for a teacher and for a judge and says
    when it was asked."""
    rows = [
        {
            "id": name,
            "question": f"Which animal stands in garden {place}?",
            "answer": answer,
            "kind": "text",
        }
        for place, (name, (answer, _)) in enumerate(ANIMALS.items())
    ]
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    said = {row["question"]: ANIMALS[row["id"]][1] for row in rows}
    scripted_server.times = []

    def script(body):
        scripted_server.times.append(time.monotonic())
        text = scripted_server.text_of(body)
        if body["model"] == "judge":
            return "[Correct]" if any(answer in text for answer in ACCEPTED) else "[Incorrect]"
        answer = next(answer for question, answer in said.items() if question in text)
        return f"<think>{THOUGHT}</think><answer>\\boxed{{{answer}}}</answer>"

    scripted_server.script = script
    return scripted_server


@pytest.fixture
def run(garden, tmp_path):
    """Runs a recipe that only annotates, with a judge or without."""

    def start(out, *, judged=True, shard_rows=10, **endpoint):
        server = {"base_url": garden.url, "backoff_seconds": 0.01} | endpoint
        recipe = {
            "name": "garden",
            "sources": [{"source": "jsonl", "folder": "data", "domain": "math"}],
            "models": {"one": {"model": "teacher", "endpoint": server, "temperature": 1.0}},
            "sft": {"annotate": {"model": "one", "settings": {"num_rationales": 1}}},
            "shard_rows": shard_rows,
        }
        if judged:
            recipe["judge"] = {
                "endpoint": server,
                "model": "judge",
                "format": "xverify",
                "num_replies": 1,
            }
        path = tmp_path / "recipe.yaml"
        path.write_text(yaml.safe_dump(recipe))
        return curate(load_curation(path), base=tmp_path, root=tmp_path / out)

    return start


def kept(curated):
    return {
        prompt.id.rpartition("/")[2]: prompt
        for prompt in read_prompts(curated.root / "sft.parquet")
    }


def test_the_recipes_judge_keeps_rows_that_the_rules_alone_would_not(run, garden):
    without = kept(run("without", judged=False))
    asked = len(garden.bodies)
    assert asked == len(ANIMALS)
    assert set(without) == {"same"}

    with_judge = kept(run("with"))

    assert set(with_judge) == {"same", "other words", "other words too"}
    told = {
        name: prompt.metadata["annotation"]["decided_by"] for name, prompt in with_judge.items()
    }
    assert told == {"same": "exact", "other words": "judge", "other words too": "judge"}
    # What is decided by the rules is not put to the judge.
    shown = [garden.text_of(body) for body in garden.bodies if body["model"] == "judge"]
    assert sorted(
        answer for _, answer in ANIMALS.values() if any(answer in text for text in shown)
    ) == [
        "a bird of great age",
        "a cat that sleeps",
        "a duck with a hat",
    ]


def test_a_judges_word_is_not_bought_again(run, garden):
    first = run("out")
    asked = len(garden.bodies)
    (first.root / "stages").rename(first.root.parent / "gone")
    again = run("out")
    assert len(garden.bodies) == asked
    assert set(kept(again)) == {"same", "other words", "other words too"}


@pytest.mark.slow
def test_one_servers_limit_a_minute_holds_over_shards_models_and_the_judge(run, garden):
    run("out", shard_rows=1, requests_per_minute=60)
    # Four shards of one row: 4 requests to the teacher and 3 to the judge. A bucket of 60 a minute
    # holds one second's worth, 1, and fills at (60 - 1) / 60 = 0.983 a second; so the seventh goes
    # 6 / 0.983 = 6.1 s after the first at the earliest. Were the limits begun anew in each shard,
    # nothing would wait; were the judge's kept apart, three would wait and not six.
    assert len(garden.times) == 7
    assert garden.times[6] - garden.times[0] >= 6.0
