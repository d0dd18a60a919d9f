"""A whole curation against a recorded teacher over HTTP: every row accounted for, nothing asked
twice, no reference leaked."""

from __future__ import annotations

import json
import shutil
from collections import Counter

import pytest
import yaml

pytest.importorskip("aiohttp")

from vasari.core.errors import StateError
from vasari.curate.recipe import load_curation
from vasari.curate.run.job import curate, dry_run
from vasari.data.prompt_file import read_prompts
from vasari.model.chat import target_text

NUM_ROWS = 18


def misbehaving(body, attempt):
    """A fifth of first attempts fail, each time in another way; what fails for good has its own
    reason."""
    kinds = ["good"] * 28 + [
        "rate_limited",
        "error",
        "cut",
        "malformed",
        "wrong_type",
        "other_shape",
        "bad_request",
    ]
    return kinds[(len(str(body)) * 7 + attempt * 11) % len(kinds)]


@pytest.mark.slow
def test_every_row_is_kept_or_dropped_with_a_reason_though_servers_and_rows_fail(
    teach, write_recipe, tmp_path, rows, write_source, known, run, dropped
):
    entries = rows()
    entries[3]["image"] = "images/none.png"
    folder = write_source(tmp_path / "data", [row for row in entries if row["id"] != "q3"])
    prompts = known(folder)
    with (folder / "train.jsonl").open("ab") as file:
        file.write(
            json.dumps(entries[3]).encode()
            + b"\n\xff\xfe not text\n"
            + json.dumps({"id": "x"}).encode()
            + b"\n"
        )
    server = teach(prompts, spread=True, truncated=0.1, off_format=0.1)
    server.plan = misbehaving

    curated = run(write_recipe(server))

    root = curated.root
    out = Counter((row["branch"], row["reason"]) for row in dropped(root))
    both = sum(count for (branch, _), count in out.items() if branch == "both")
    for name in ("sft", "rl"):
        kept = (
            {prompt.id for prompt in read_prompts(root / f"{name}.parquet")}
            if curated.sizes[name]
            else set()
        )
        lost = [row["id"] for row in dropped(root) if row["branch"] in ("both", name)]
        assert len(kept) == curated.sizes[name]
        assert (
            len(kept) + both + sum(n for (branch, _), n in out.items() if branch == name)
            == NUM_ROWS + 2
        )
        assert not kept & set(lost)
        assert len(set(lost)) == len(lost)
    assert out["both", "unreadable_row"] == 3
    assert curated.sizes["sft"] > 0


@pytest.mark.slow
def test_a_run_gives_files_that_training_reads_as_they_are(
    teach, write_recipe, data, rows, known, run
):
    server = teach(known(data), spread=True)

    curated = run(write_recipe(server))

    sft, rl = (read_prompts(curated.root / f"{name}.parquet") for name in ("sft", "rl"))
    assert all(target_text(prompt).startswith("<think>The picture shows") for prompt in sft)
    assert {prompt.difficulty for prompt in [*sft, *rl]} <= {"medium", "hard"}
    assert all(prompt.images[0].data.startswith(b"\x89PNG") for prompt in [*sft, *rl])
    assert len(rl) == 4
    answers = {row["answer"] for row in rows()}
    asked = [
        body for body in server.bodies if "Right answer" not in str(body)
    ]  # rephrasing is told the answer
    assert asked
    assert not [answer for answer in answers for body in asked if answer in str(body["messages"])]


@pytest.mark.slow
def test_the_same_command_again_asks_nothing_and_changes_nothing(
    teach, write_recipe, data, known, run
):
    server = teach(known(data), spread=True)
    path = write_recipe(server)
    first = run(path)
    asked = len(server.bodies)
    files = {
        name: (first.root / name).read_bytes()
        for name in ("sft.parquet", "rl.parquet", "dropped.parquet", "README.md")
    }

    again = run(path)
    # Nothing is left but the answers: everything else is made again from them.
    shutil.rmtree(first.root / "stages")
    made = run(path)

    assert len(server.bodies) == asked
    for one in (again, made):
        assert {name: (one.root / name).read_bytes() for name in files} == files


def test_exports_are_written_again_for_a_changed_row_and_not_for_the_same_rows(
    teach, write_recipe, data, rows, write_source, run
):
    path = write_recipe(teach([]), grade=None, sft={}, rl=None, exports=["trl", "sharegpt"])
    folder = run(path).root / "exports"
    files = [folder / "trl" / "sft.parquet", folder / "sharegpt" / "sft.json"]

    def seen():
        return [(file.stat().st_ino, file.stat().st_mtime_ns) for file in files]

    first = seen()
    told = json.loads((folder.parent / "manifest.json").read_text())["exports"]
    run(path)
    assert seen() == first
    assert json.loads((folder.parent / "manifest.json").read_text())["exports"] == told
    entries = rows()
    entries[5]["answer"] = "999999"
    write_source(data, entries)
    run(path)
    assert all(before != after for before, after in zip(first, seen(), strict=True))
    assert "999999" in files[1].read_text()


@pytest.mark.slow
def test_one_row_changed_asks_about_one_prompt(
    teach, write_recipe, data, rows, write_source, known, run
):
    server = teach(known(data))
    path = write_recipe(server, sft={}, rl=None)
    run(path)
    asked = len(server.bodies)
    entries = rows()
    entries[5]["question"] = "Read the mark that is number 5 in the picture."
    write_source(data, entries)
    server.teacher = type(server.teacher)(known(data))

    run(path)

    told = {str(body["messages"][-1]["content"][-1]["text"]) for body in server.bodies[asked:]}
    assert told == {"Read the mark that is number 5 in the picture."}


@pytest.mark.slow
def test_a_raised_limit_asks_nothing_when_nothing_was_cut_off(
    teach, write_recipe, data, known, run
):
    server = teach(known(data), spread=True)
    path = write_recipe(server)
    first = run(path)
    asked, sft = len(server.bodies), (first.root / "sft.parquet").read_bytes()
    content = yaml.safe_load(path.read_text())
    content["models"]["all"]["max_tokens"] = 5000
    path.write_text(yaml.safe_dump(content))

    again = run(path)

    assert len(server.bodies) == asked
    assert (again.root / "sft.parquet").read_bytes() == sft


def test_a_spent_budget_stops_the_run_and_the_same_command_goes_on(
    teach, write_recipe, data, known, run, dropped
):
    server = teach(known(data))
    path = write_recipe(server, rl=None)
    content = yaml.safe_load(path.read_text())
    content["models"]["all"]["endpoint"] |= {
        "prices": {"teacher": {"input": "0", "output": "1000"}},
        "budget": "2.0",
    }
    path.write_text(yaml.safe_dump(content))

    with pytest.raises(
        StateError, match=r"stage 'grade' was stopped before it had asked about \d+ prompts"
    ):
        run(path)
    before = len(server.bodies)
    content["models"]["all"]["endpoint"]["budget"] = "900.0"
    path.write_text(yaml.safe_dump(content))
    curated = run(path)

    assert before > 0
    # Every prompt is easy: four rollouts of four decide it, and none was asked for twice.
    assert len(server.bodies) == 4 * NUM_ROWS
    assert {row["reason"] for row in dropped(curated.root)} == {"easy"}


def test_what_failed_stays_failed_until_it_is_asked_for_again(
    teach, write_recipe, data, known, run
):
    server = teach(known(data), wrong=1.0)
    path = write_recipe(server, sft=None, rl={"parts": [{"name": "m", "target": NUM_ROWS}]})
    content = yaml.safe_load(path.read_text())
    content["models"]["all"]["endpoint"]["max_attempts"] = 1
    path.write_text(yaml.safe_dump(content))
    server.plan = lambda body, attempt: "error" if "mark number 4 " in str(body) else "good"
    first = run(path)
    assert first.sizes == {"rl": NUM_ROWS - 1}
    server.plan = lambda body, attempt: "good"
    asked = len(server.bodies)

    again = run(path)
    after = len(server.bodies)
    retried = curate(
        load_curation(path), base=path.parent, root=path.parent / "out", retry_failed=True
    )

    assert after == asked
    assert again.sizes == {"rl": NUM_ROWS - 1}
    assert retried.sizes == {"rl": NUM_ROWS}
    assert {"mark number 4 " in str(body) for body in server.bodies[after:]} == {True}


def test_a_dry_run_sends_nothing_and_says_what_it_would_take(teach, write_recipe, data, known):
    server = teach(known(data))
    path = write_recipe(server)

    found = dry_run(load_curation(path), base=path.parent, root=path.parent / "out")

    assert server.bodies == []
    assert found.num_prompts == NUM_ROWS
    # Numbers are short answers already, so nothing is rephrased: 18 x 4 rollouts, 18 x 2
    # rationales, 18 categories.
    assert {name: one.requests for name, one in found.stages.items()} == {
        "grade": 72,
        "sft.annotate": 36,
        "rl.rephrase": 0,
        "rl.categorise": 18,
    }
