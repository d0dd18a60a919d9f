"""What a dry run expects is within a factor of two of what is then sent to a recorded teacher."""

from __future__ import annotations

import contextlib
import re
import shutil

import pytest

pytest.importorskip("aiohttp")

from vasari.curate.recipe import load_curation
from vasari.curate.run.job import curate, dry_run
from vasari.curate.run.pipeline import _Onward


def forecast(path, out="out"):
    return dry_run(load_curation(path), base=path.parent, root=path.parent / out)


def kind(body):
    text = str(body)
    if "Right answer" in text:
        return "rl.rephrase"
    return "rl.categorise" if re.search("categor", text) else "answers"


@pytest.mark.slow
def test_what_is_expected_is_within_a_factor_of_two_of_what_is_sent(
    teach, write_recipe, tmp_path, rows, write_source, known
):
    folder = write_source(tmp_path / "data", rows(90))
    server = teach(known(folder), spread=True)
    path = write_recipe(server, shard_rows=60)
    found = forecast(path)
    assert found.expected.keys() == found.stages.keys()
    assert all(n <= found.stages[name].requests for name, n in found.expected.items())

    curate(load_curation(path), base=tmp_path, root=tmp_path / "out")

    sent = sum(kind(body) == "answers" for body in server.bodies)
    expected = found.expected["grade"] + found.expected["sft.annotate"]
    assert sent / 2 <= expected <= sent * 2
    sent = sum(kind(body) == "rl.categorise" for body in server.bodies)
    assert sent / 2 <= found.expected["rl.categorise"] <= sent * 2
    assert "grade" not in forecast(path).stages  # all is done: nothing is left to ask

    # Grading is done, and annotation lies before the run: what it will be asked is known.
    for stage in (tmp_path / "out" / "stages").glob("*-sft-annotate"):
        shutil.rmtree(stage)
    for store in (tmp_path / "out" / "responses").iterdir():
        store.rename(tmp_path / store.name)
    after = forecast(path)
    assert after.expected["sft.annotate"] == after.stages["sft.annotate"].requests
    assert set(after.stages) == {"sft.annotate"}


@pytest.mark.slow
def test_a_stage_that_was_stopped_is_forecast_by_what_it_has_seen(
    teach, write_recipe, tmp_path, rows, write_source, known
):
    folder = write_source(tmp_path / "data", rows(120))
    server = teach(known(folder), spread=True)
    path = write_recipe(server, shard_rows=60)
    curate(load_curation(path), base=tmp_path, root=tmp_path / "out")
    (grade,) = (tmp_path / "out" / "stages").glob("*-grade")
    kept = sum(1 for _ in grade.glob("part-*"))
    assert kept == 2
    (grade / "manifest.json").unlink()
    (grade / "counts-00001.json").unlink()
    shutil.rmtree(tmp_path / "out" / "responses")
    found = forecast(path)
    # Half of the prompts are graded; what the others are asked goes by these.
    assert found.stages["grade"].requests == 120 * 4
    assert found.expected["grade"] < 120 * 4
    assert 0 < found.expected["sft.annotate"] < 120 * 2


def told(sizes, rounds, steps):
    lines = []
    onward = _Onward(lambda done, total, note="": lines.append((done, total)), sum(sizes), rounds)
    for size in sizes:
        onward.begin(size)
        for done, total in steps:
            onward.within(done, total)
        onward.end()
    return lines


def test_progress_never_goes_back_and_counts_rounds_by_their_answers():
    lines = told([40, 40], [6, 2], [(1, 4), (4, 4), (1, 10), (10, 10)])
    assert [done for done, _ in lines] == [8, 30, 31, 40, 40, 48, 70, 71, 80, 80]
    assert {total for _, total in lines} == {80}


def test_the_search_for_near_duplicates_tells_its_reading_and_comparing_before_the_shards(
    tmp_path, write_recipe, teach, rows, write_source, known
):
    folder = write_source(tmp_path / "data", rows(90))
    path = write_recipe(teach(known(folder)), shard_rows=30)
    lines = {}

    @contextlib.contextmanager
    def show(name):
        lines[name] = []
        yield lambda done, total, note="": lines[name].append((done, total))

    recipe = load_curation(path)
    dry_run(recipe, base=tmp_path, root=tmp_path / "out", show=show)
    found = lines["near duplicates"]
    # All 90 are read; comparing takes its time, and then the writing of three shards.
    done = [done for done, _ in found]
    assert (done[0], found[-1]) == (90, (done[-1], done[-1]))
    assert done == sorted(done)
    assert done[-4] < done[-3] < done[-2] < done[-1]
    assert found[0][1] > 90, found
