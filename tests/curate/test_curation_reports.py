"""What a curation says of itself: refusals, page and card, benchmarks, shards of several processes."""

from __future__ import annotations

import json
import shutil

import pytest

pytest.importorskip("aiohttp")

from vasari.core.errors import DataError
from vasari.curate.recipe import load_curation
from vasari.curate.run.job import curate


def test_a_folder_of_another_shape_is_refused_with_what_was_expected_and_found(
    teach, write_recipe, tmp_path, run
):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "notes.txt").write_text("hello")
    server = teach([])

    with pytest.raises(
        DataError, match=r"not the shape of .*Expected .*train\*\.jsonl.* Found: notes\.txt"
    ):
        run(write_recipe(server))


def test_what_the_data_says_is_shown_as_text_in_the_page_and_the_card(
    teach, write_recipe, tmp_path, rows, write_source, known, run
):
    entries = rows(3)
    for row in entries:
        row["category"] = "<script>alert(1)</script> | [x](javascript:y)"
        row["licence"] = "<img src=x onerror=alert(2)>"
    folder = write_source(tmp_path / "data", entries)
    server = teach(known(folder))

    curated = run(
        write_recipe(server, grade=None, sft={}, rl={"parts": [{"name": "all", "target": 2}]})
    )

    page = (curated.root / "funnel.html").read_text()
    card = (curated.root / "README.md").read_text()
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "<script" not in card
    assert "<img" not in card
    assert "\\[x\\](javascript" in card


def test_benchmark_prompts_are_removed_and_counted(
    teach, write_recipe, data, tmp_path, rows, known, run, dropped
):
    bench = tmp_path / "bench"
    (bench / "images").mkdir(parents=True)
    shutil.copy(data / "images" / "2.png", bench / "images")
    leaked = rows()[2] | {"question": "Read  mark number 2, in the picture!"}
    (bench / "test.jsonl").write_text(json.dumps(leaked) + "\n" + json.dumps({"id": "bad"}) + "\n")
    server = teach(known(data))
    leaks = {"benchmarks": [{"source": "jsonl", "folder": "bench"}]}

    curated = run(write_recipe(server, grade=None, sft={}, rl=None, decontaminate=leaks))

    (drop,) = (row for row in dropped(curated.root) if row["stage"] == "decontaminate")
    assert (drop["id"], drop["reason"], drop["collided_with"]) == (
        "jsonl/q2",
        "benchmark_leak_copy",
        "jsonl/q2",
    )
    told = json.loads((curated.root / "manifest.json").read_text())["decontamination"]
    assert told == {
        "compared": True,
        "benchmarks": {"jsonl": 1},
        "text_only": {},
        "unread": {"jsonl": 1},
        "removed": 1,
    }
    assert "1 rows removed" in (curated.root / "funnel.html").read_text()


def test_a_benchmark_whose_pictures_are_not_here_is_compared_by_its_texts(
    teach, write_recipe, data, tmp_path, rows, write_source, run, dropped
):
    (tmp_path / "bench").mkdir()
    question = (
        "How many small red marks stand beside the long scale number 2 in the picture that is shown"
        " here?"
    )
    (tmp_path / "bench" / "test.jsonl").write_text(
        json.dumps(rows()[2] | {"question": question}) + "\n"
    )
    write_source(data, [rows()[0], rows()[2] | {"question": question}])
    leaks = {"benchmarks": [{"source": "jsonl", "folder": "bench"}]}

    curated = run(write_recipe(teach([]), grade=None, sft={}, rl=None, decontaminate=leaks))

    (drop,) = (row for row in dropped(curated.root) if row["stage"] == "decontaminate")
    assert (drop["id"], drop["reason"]) == ("jsonl/q2", "benchmark_leak_text")
    assert "1 of them by text alone" in (curated.root / "README.md").read_text()


@pytest.mark.parametrize("leaks", [None, {"benchmarks": []}])
def test_without_a_benchmark_page_card_and_manifest_say_so(teach, write_recipe, data, leaks, run):
    server = teach([])

    curated = run(write_recipe(server, grade=None, sft={}, rl=None, decontaminate=leaks))

    for name in ("funnel.html", "README.md"):
        assert "Not decontaminated" in (curated.root / name).read_text()
    assert not json.loads((curated.root / "manifest.json").read_text())["decontamination"][
        "compared"
    ]


@pytest.mark.slow
def test_two_processes_give_the_shards_of_one(teach, write_recipe, data, run):
    from vasari.curate.run.engine import LocalEngine

    server = teach([])
    path = write_recipe(server, grade=None, sft={}, rl=None)
    one = run(path, "one")
    two = curate(
        load_curation(path), base=path.parent, root=path.parent / "two", engine=LocalEngine(2)
    )

    shards = [
        sorted(
            p.relative_to(root.root / "stages") for p in (root.root / "stages").rglob("*.parquet")
        )
        for root in (one, two)
    ]
    assert shards[0] == shards[1]
    for name in shards[0]:
        assert (one.root / "stages" / name).read_bytes() == (
            two.root / "stages" / name
        ).read_bytes()


def test_a_first_shard_without_rows_does_not_count_the_targets_twice(
    teach, write_recipe, tmp_path, rows, write_source, run
):
    entries = [row | {"licence": "none" if n < 7 else "free"} for n, row in enumerate(rows(10))]
    write_source(tmp_path / "data", entries)
    parts = [{"name": "m", "target": 2}]

    path = write_recipe(
        teach([]), grade=None, sft=None, rl={"parts": parts}, checks={"licences": ["free"]}
    )
    curated = run(path)

    notes = curated.funnel["stages"][-1]["notes"]
    assert notes == {"target of m": 2, "m: no category": 2, "missing in m": 0}
