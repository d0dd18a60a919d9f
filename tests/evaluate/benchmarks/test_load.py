"""What is read of a benchmark: subsets, clusters, and rows that scoring protocols can read."""

from __future__ import annotations

import json

import pytest

from vasari.core.errors import ConfigError, DataError
from vasari.data.sources import describe_source
from vasari.evaluate.benchmarks import BENCHMARKS, BenchmarkSettings, find_benchmark
from vasari.evaluate.benchmarks.load import labels_of, load_set
from vasari.evaluate.protocols import read_row


def load(data, name, *, prompt="paper", **chosen):
    settings = BenchmarkSettings(
        sets={name: {"folder": f"data/{name}", **chosen}}, prompt=prompt, seed=3
    )
    return load_set(name, settings, folder=data.parent)


def test_every_benchmark_reads_a_source_that_has_its_split_and_asks_in_the_three_ways():
    for name, benchmark in BENCHMARKS.items():
        assert benchmark.split in describe_source(benchmark.source).splits, name
        assert {"paper", "official", "bare"} <= set(benchmark.forms), name
        assert benchmark.split in benchmark.sizes, name


def test_the_five_versions_of_a_mathverse_problem_are_one_cluster(data):
    found = load(data, "mathverse")
    assert len(found.entries) == 20
    assert [entry.cluster for entry in found.entries] == [
        str(n) for n in (1, 2, 3, 4) for _ in range(5)
    ]


def test_prompts_that_show_the_same_picture_are_one_cluster(data):
    vista, vision = load(data, "mathvista"), load(data, "mathvision")
    assert len({entry.cluster for entry in vista.entries}) == 1
    assert len({entry.cluster for entry in vision.entries}) == 4


def test_the_version_that_has_its_question_in_the_image_is_asked_too(data):
    entry, *_ = load(data, "mathverse", only={"problem_version": ["Vision Only"]}).entries
    assert entry.asked.question == "The question is shown in the image."
    official, *_ = load(
        data, "mathverse", prompt="official", only={"problem_version": ["Vision Only"]}
    ).entries
    assert official.asked.question == "Please directly answer. Vision Only"


def test_a_subset_keeps_the_prompts_with_any_of_its_values(data):
    found = load(data, "mathvision", only={"category": ["logic"], "difficulty": ["2", "9"]})
    assert [entry.prompt.id for entry in found.entries] == ["mathvision/2", "mathvision/3"]
    assert [
        entry.prompt.id for entry in load(data, "mathvista", only={"skills": ["geometry"]}).entries
    ] == ["mathvista/1"]


def test_a_subset_by_an_unknown_field_is_refused_with_the_known_ones(data):
    with pytest.raises(
        ConfigError,
        match=r"only: prompt 'mathvision/1' has no field 'subjct'; there are category, difficulty",
    ):
        load(data, "mathvision", only={"subjct": ["logic"]})


def test_a_limit_draws_the_same_prompts_for_the_same_seed_in_their_order(data):
    first, again = load(data, "mathverse", limit=7), load(data, "mathverse", limit=7)
    order = [entry.prompt.id for entry in load(data, "mathverse").entries]
    drawn = [entry.prompt.id for entry in first.entries]
    assert drawn == [entry.prompt.id for entry in again.entries]
    assert len(drawn) == 7
    assert drawn == [identity for identity in order if identity in drawn]


def test_a_row_without_its_picture_is_a_bad_row_and_a_set_without_prompts_an_error(data):
    (data / "mathvision/images/2.jpg").unlink()
    found = load(data, "mathvision")
    assert (len(found.entries), len(found.bad_rows), found.published_size) == (3, 1, 3040)
    for picture in (data / "mathvision/images").iterdir():
        picture.unlink()
    with pytest.raises(
        DataError,
        match=r"has no prompt to ask \(4 bad rows; the first bad row: test\.jsonl:1: image 1",
    ):
        load(data, "mathvision")


def test_an_output_row_is_read_by_the_scoring_protocols_with_the_published_reference(data):
    found = load(data, "mathvista")
    outputs = [read_row({**entry.facts, "id": "1", "response": "x"}) for entry in found.entries]
    free, choice = outputs
    assert (free.benchmark, free.answer, free.precision, free.answer_type, free.unit) == (
        "mathvista",
        "1.2",
        1,
        "float",
        "m",
    )
    # MathVista's own scorer compares the option's text.
    assert (choice.answer, choice.choices, choice.question_type) == (
        "Beta",
        ("Alpha", "Beta"),
        "multi_choice",
    )
    assert choice.labels["category"] == "figure"
    assert free.cluster == choice.cluster != ""


def test_a_prompt_with_several_skills_has_each_of_them(data):
    first, second = load(data, "mathvista").entries
    assert labels_of(first.prompt, "skills") == ("algebra", "geometry")
    assert labels_of(second.prompt, "skills") == ("algebra",)
    assert labels_of(first.prompt, "nothing") == ()


def test_a_source_of_ones_own_is_a_benchmark_too(data):
    (data / "quiz").mkdir()
    (data / "quiz/test.json").write_text(json.dumps([{"qid": 1, "text": "2 + 3?", "label": 5}]))
    (data / "quiz.yaml").write_text(
        "name: quiz\ntitle: Quiz\nlicence: CC0\nfiles: {test: test.json}\nfields: {id: qid,"
        " question: text, answer: label}\n"
    )
    found = load(data, "quiz", source="data/quiz.yaml")
    assert [(entry.prompt.id, entry.prompt.answer, entry.cluster) for entry in found.entries] == [
        ("quiz/1", "5", "quiz/1")
    ]
    assert found.published_size is None


def test_an_unknown_benchmark_is_refused_with_those_there_are():
    with pytest.raises(
        ConfigError, match=r"there is no benchmark 'mathvisoin'; there are mathverse, mathvista"
    ):
        find_benchmark("mathvisoin")
