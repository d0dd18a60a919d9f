"""What each term of the reward gave, batch by batch: on the page, in the pictures, in the
summary."""

import json
import math
import re
import shutil

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vasari.report import write_report, write_summary
from vasari.report.curves import term_curve, term_panels
from vasari.report.inputs import read_run
from vasari.report.reward_terms import (
    COLUMNS,
    MAX_TERMS,
    RewardTerms,
    read_reward_terms,
    reward_terms,
)
from vasari.train.group_file import GROUP_SCHEMA, write_groups

FIVE = ("accuracy", "format", "cosine_length", "repetition", "brevity")


def group(batch, terms, *, purpose="train", size=2):
    place = {
        "batch": batch,
        "step": 2 * batch,
        "prompt_index": 0,
        "prompt_id": "q0",
        "role": "uniform",
    }
    return place | {
        "purpose": purpose,
        "rewards": [0.0] * size,
        "verdicts": [0.0] * size,
        "reward_terms": terms,
    }


def table(*groups):
    return pa.Table.from_pylist(
        [found | {"reward_terms": list((found["reward_terms"] or {}).items())} for found in groups],
        schema=GROUP_SCHEMA,
    ).select(list(COLUMNS))


def a_run(folder, arms):
    """A run folder with one logged line an arm; `arms` says the terms of each batch's only
    group."""
    for arm, batches in arms.items():
        for batch, terms in enumerate(batches):
            write_groups(folder / "rl" / arm / "groups", batch, "train", [group(batch, terms)])
        line = {"step": 1, "reward": 1.0, "ledger/rollouts/train": 2}
        (folder / "rl" / arm / "metrics.jsonl").write_text(json.dumps(line) + "\n")
    return folder


def titles(page):
    return re.findall(
        r"<figcaption><b>(.*?)</b>",
        page.partition("Reward, term by term")[2].partition("</section>")[0],
    )


def test_a_term_is_the_mean_over_the_rollouts_that_train():
    found = reward_terms(
        table(
            group(0, {"accuracy": [1.0, 0.0], "format": [0.5, 0.5]}),
            group(0, {"accuracy": [0.0, 0.0], "format": [0.0, 0.5]}),
            group(0, {"accuracy": [1.0, 1.0], "format": [0.5, 0.5]}, purpose="screen"),
            group(1, {"accuracy": [1.0, 1.0], "format": [0.0, 0.0]}),
            group(1, {"accuracy": [0.0, 0.0], "format": [0.5, 0.5]}, purpose="refresh"),
            group(1, {"accuracy": [0.0, 0.0], "format": [0.5, 0.5]}, purpose="discarded"),
        )
    )
    assert {name: values.tolist() for name, values in found.means.items()} == {
        "accuracy": [0.25, 1.0],
        "format": [0.375, 0.0],
    }


def test_a_batch_lies_over_all_rollouts_charged_and_at_the_first_step_that_learns_from_it():
    found = reward_terms(
        table(
            group(0, {"accuracy": [1.0, 0.0]}, purpose="refresh"),
            group(0, {"accuracy": [1.0, 0.0, 1.0, 1.0]}, size=4),
            group(3, {"accuracy": [1.0, 0.0]}, purpose="screen"),
            group(3, {"accuracy": [1.0, 0.0]}),
        )
    )
    assert found.rollouts.tolist() == [6, 10]
    assert found.steps.tolist() == [1, 7]


def test_a_rollout_without_a_term_counts_neither_for_nor_against_it():
    found = reward_terms(
        table(
            group(0, {"brevity": [0.2, None]}),
            group(0, {"brevity": [math.nan, 0.6]}),
            group(0, None),
        )
    )
    assert found.means["brevity"].tolist() == pytest.approx([0.4])


def test_a_term_that_only_some_batches_have_is_unknown_in_the_others():
    found = reward_terms(
        table(group(0, {"accuracy": [1.0, 0.0]}), group(1, {"brevity": [0.5, 0.5]}), group(2, {}))
    )
    np.testing.assert_array_equal(found.means["accuracy"], [0.5, math.nan, math.nan])
    np.testing.assert_array_equal(found.means["brevity"], [math.nan, 0.5, math.nan])
    assert term_curve(0, "vas", found, "brevity").steps.tolist() == [3]


values = st.lists(st.floats(-5, 5) | st.just(math.nan) | st.none(), min_size=1, max_size=4)
groups = st.lists(
    st.builds(
        group,
        st.integers(0, 3),
        st.dictionaries(st.sampled_from(FIVE), values, max_size=5),
        purpose=st.sampled_from(["train", "screen"]),
    ),
    min_size=1,
    max_size=12,
)


@given(groups)
def test_every_mean_is_that_of_its_rollouts_one_by_one(stored):
    found = reward_terms(table(*stored))
    batches = sorted({row["batch"] for row in stored})
    for name, means in found.means.items():
        for batch, mean in zip(batches, means, strict=True):
            rows = [row for row in stored if row["batch"] == batch and row["purpose"] == "train"]
            known = [
                v
                for row in rows
                for v in row["reward_terms"].get(name, [])
                if v is not None and not math.isnan(v)
            ]
            assert (
                math.isnan(mean)
                if not known
                else mean == pytest.approx(sum(known) / len(known), abs=1e-12)
            )


def test_the_summary_says_where_a_term_began_and_ended():
    steps = np.arange(20.0)
    rising = RewardTerms(steps, steps, {"accuracy": steps, "brevity": np.full(20, math.nan)})
    # A tenth of 20 batches is 2: (0 + 1) / 2, (18 + 19) / 2, and all.
    assert rising.summary()["accuracy"] == {"first": 0.5, "last": 18.5, "mean": 9.5}
    assert rising.summary()["brevity"] == {"first": None, "last": None, "mean": None}


def test_a_run_with_five_terms_has_five_pictures_and_five_rows_in_its_summary(tmp_path):
    batches = [{name: [0.1 * place, 0.3 * place] for place, name in enumerate(FIVE)}] * 2
    run = a_run(tmp_path / "run", {"vas": batches, "uniform": batches})
    assert titles(write_report(run).read_text(encoding="utf-8")) == list(FIVE)
    found = write_summary(run)
    assert list(found["reward_terms"]) == list(FIVE)
    # The mean of 0.1 and 0.3 times its place.
    assert [
        found["by_arm"]["uniform"]["reward_terms"][name]["mean"] for name in FIVE
    ] == pytest.approx([0, 0.2, 0.4, 0.6, 0.8])


def test_a_run_with_one_term_has_one_picture(tmp_path):
    run = a_run(tmp_path / "run", {"progress": [{"accuracy": [1.0, 0.0]}]})
    assert titles(write_report(run).read_text(encoding="utf-8")) == ["accuracy"]
    assert write_summary(run)["reward_terms"] == {
        "accuracy": {"first": 0.5, "last": 0.5, "mean": 0.5}
    }


def test_an_arm_shows_only_the_terms_of_its_own_reward(tmp_path):
    run = read_run(
        a_run(
            tmp_path / "run",
            {"uniform": [{"accuracy": [1.0, 0.0]}], "vas": [{"brevity": [0.5, 0.5]}]},
        )
    )
    panels = term_panels(["vas", "uniform"], read_reward_terms(run))
    assert [panel["title"] for panel in panels] == ["brevity", "accuracy"]
    assert "vas: from 0.5 to 0.5 at step 1" in panels[0]["steps"]
    assert "uniform" not in panels[0]["steps"]


def test_pictures_of_terms_whose_names_differ_in_signs_only_keep_their_own_ids(tmp_path):
    batches = [{"a-b": [1.0, 0.0], "a_b": [0.5, 0.5], "<b>": [0.1, 0.2], "": [0.0, 0.0]}]
    page = write_report(a_run(tmp_path / "run", {"vas": batches})).read_text(encoding="utf-8")
    ids = re.findall(r' id="([^"]*)"', page)
    assert len(ids) == len(set(ids))
    assert titles(page) == ["a-b", "a_b", "&lt;b&gt;", ""]


def test_of_very_many_terms_the_first_are_shown_and_the_page_says_so(tmp_path):
    batches = [{f"term {number}": [0.5, 0.5] for number in range(MAX_TERMS + 3)}]
    page = write_report(a_run(tmp_path / "run", {"vas": batches})).read_text(encoding="utf-8")
    assert len(titles(page)) == MAX_TERMS
    assert "of the 19 reward terms of vas, the first 16 are shown" in page


def test_damaged_groups_are_named_once_and_the_other_arm_is_shown(tmp_path):
    run = a_run(
        tmp_path / "run", {"uniform": [{"accuracy": [1.0, 0.0]}], "vas": [{"accuracy": [1.0, 0.0]}]}
    )
    (run / "rl" / "vas" / "groups" / "000000-train.parquet").write_bytes(b"PAR1 damaged")
    page = write_report(run).read_text(encoding="utf-8")
    assert page.count("the groups of vas could not be read") == 1
    assert titles(page) == ["accuracy"]
    assert write_summary(run)["by_arm"]["vas"]["reward_terms"] is None


def test_the_pictures_of_a_made_up_run_show_both_arms(finished_run):
    for panel in term_panels(["vas", "uniform"], read_reward_terms(read_run(finished_run))):
        assert "vas: from" in panel["rollouts"]
        assert "uniform: from" in panel["rollouts"]


def test_old_and_new_groups_of_one_run_make_one_curve(old_run, tmp_path):
    shutil.copytree(old_run / "rl" / "vas" / "groups", tmp_path / "rl" / "vas" / "groups")
    write_groups(
        tmp_path / "rl" / "vas" / "groups",
        2,
        "train",
        [group(2, {"accuracy": [1.0, 0.0], "brevity": [0.1, 0.3]})],
    )
    found = read_reward_terms(read_run(tmp_path))["vas"]
    # Batches 0 and 1 by hand from the old files: 3 of 8 rollouts right in both.
    assert found.means["accuracy"].tolist() == [0.375, 0.375, 0.5]
    np.testing.assert_allclose(found.means["brevity"], [math.nan, math.nan, 0.2])
