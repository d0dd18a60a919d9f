"""Sources and benchmarks that one reader reads keep their rows and their names."""

from __future__ import annotations

import json

import pytest
import yaml

pytest.importorskip("aiohttp")

from vasari.core.errors import ConfigError
from vasari.curate.recipe import load_curation
from vasari.curate.run.job import curate
from vasari.data.prompt_file import read_prompts
from vasari.model.chat import target_text

BIRDS = ["sparrow", "heron", "eagle", "owl", "robin", "finch", "swift", "crane", "stork", "kite"]
TREES = ["oak", "birch", "maple", "cedar", "willow", "aspen", "larch", "beech", "elm", "pine"]


def _questions(names, offset, **more):
    return [
        {
            "question": f"A {name} was seen {offset + n} times on day one and {n + 2} times on day two; how many in all?",
            "answer": str(offset + 2 * n + 2),
            "solution": f"That makes {offset + n} + {n + 2} = {offset + 2 * n + 2}.",
        }
        | more
        for n, name in enumerate(names)
    ]


def _plant(folder, rows):
    folder.mkdir(parents=True)
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def _run(tmp_path, content):
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump({"name": "two"} | content))
    return curate(load_curation(path), base=tmp_path, root=tmp_path / "out")


def _sources(*names):
    return [{"source": "jsonl", "folder": name, "name": name, "domain": "math"} for name in names]


@pytest.mark.parametrize("ids", [False, True])
def test_two_sources_of_one_reader_keep_all_their_rows(ids, tmp_path, dropped):
    for name, words, offset in (("first", BIRDS, 100), ("second", TREES, 3000)):
        rows = _questions(words, offset)
        _plant(tmp_path / name, [r | ({"id": n} if ids else {}) for n, r in enumerate(rows)])
    curated = _run(tmp_path, {"sources": _sources("first", "second"), "sft": {}})
    assert [row["reason"] for row in dropped(curated.root)] == []
    prompts = read_prompts(curated.root / "sft.parquet")
    assert len({prompt.id for prompt in prompts}) == 20
    assert {(p.id.partition("/")[0], p.metadata["source"]) for p in prompts} == {
        ("first", "first"),
        ("second", "second"),
    }


def test_two_generated_sources_keep_all_their_rows(tmp_path, dropped):
    tasks = {"num_prompts": 6, "families": ["bars"]}
    sources = [{"tasks": tasks, "name": name} for name in ("a", "b")]
    curated = _run(tmp_path, {"sources": sources, "duplicates": None, "sft": {}})
    assert [row["reason"] for row in dropped(curated.root)] == []
    assert curated.sizes["sft"] == 12


def test_the_columns_of_a_source_reach_no_target_and_no_export(tmp_path):
    hostile = {"final": "666", "rl_part": "other", "source": "evil", "domain": "evil"}
    hostile |= {"grade": "1.0", "native_answer": "666", "annotation": "evil", "columns": "evil"}
    _plant(tmp_path / "quiz", _questions(BIRDS, 100, **hostile))
    curated = _run(
        tmp_path,
        {
            "sources": _sources("quiz"),
            "sft": {},
            "rl": {
                "parts": [
                    {"name": "sums", "target": 4},
                    {"name": "rest", "target": 1, "domains": ["x"]},
                ]
            },
            "exports": ["sharegpt", "trl", "easyr1", "verl"],
        },
    )
    for name in ("sft", "rl"):
        for prompt in read_prompts(curated.root / f"{name}.parquet"):
            assert prompt.columns == hostile
            assert prompt.metadata["source"] == "quiz"
            assert prompt.metadata["domain"] == "math"
            assert "\\boxed{" + prompt.answer + "}" in target_text(prompt)
    exported = [p for p in (curated.root / "exports").rglob("*") if p.is_file()]
    assert exported
    assert not [p for p in exported if b"666" in p.read_bytes() or b"evil" in p.read_bytes()]


@pytest.mark.parametrize("named", [False, True])
def test_two_benchmarks_of_one_reader_keep_their_names(named, tmp_path, dropped):
    _plant(tmp_path / "quiz", [*_questions(BIRDS, 100), *_questions(TREES, 3000)])
    _plant(tmp_path / "tests" / "amc", _questions(BIRDS[:2], 100))
    _plant(tmp_path / "tests" / "aime", _questions(TREES[:3], 3000))
    entries = [
        {"source": "jsonl", "folder": f"tests/{name}", "split": "train"} for name in ("amc", "aime")
    ]
    labels = ["jsonl (amc)", "jsonl (aime)"]
    if named:
        labels = ["contest", "olympiad"]
        entries = [entry | {"name": label} for entry, label in zip(entries, labels, strict=True)]
    curated = _run(
        tmp_path,
        {"sources": _sources("quiz"), "decontaminate": {"benchmarks": entries}, "sft": {}},
    )
    assert curated.funnel["decontamination"]["benchmarks"] == dict(zip(labels, (2, 3), strict=True))
    card = (curated.root / "README.md").read_text()
    assert all(f"{label} (" in card for label in labels)
    hit = [row["collided_with"].partition("/")[0] for row in dropped(curated.root)]
    assert sorted(hit) == sorted([labels[0]] * 2 + [labels[1]] * 3)


def test_a_benchmark_is_not_named_as_counts_are(tmp_path):
    entry = {"source": "jsonl", "folder": "x", "name": "quiz_unread"}
    path = tmp_path / "recipe.yaml"
    path.write_text(
        yaml.safe_dump(
            {
                "name": "x",
                "sources": _sources("x"),
                "decontaminate": {"benchmarks": [entry]},
                "sft": {},
            }
        )
    )
    with pytest.raises(ConfigError, match="may not end in _unread"):
        load_curation(path)
