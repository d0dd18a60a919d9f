import json
import math
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest

from vasari.core.errors import DataError
from vasari.report import write_summary
from vasari.report.inputs import read_run
from vasari.report.tables import essentials
from vasari.train.group_file import read_groups


@pytest.fixture(scope="module")
def summary(finished_run, tmp_path_factory):
    copy = tmp_path_factory.mktemp("summary") / "run"
    shutil.copytree(finished_run, copy)
    found = write_summary(copy)
    assert json.loads((copy / "summary.json").read_text()) == found
    return found


def leaves(content):
    if isinstance(content, dict):
        return [leaf for value in content.values() for leaf in leaves(value)]
    return [content]


def test_accuracy_is_the_share_of_correct_sampled_rollouts_on_the_test_prompts(
    finished_run, summary
):
    for name, label in (("cold_start", "cold_start"), ("vas", "final")):
        rows = pq.read_table(finished_run / "evaluation" / f"{name}-rollouts.parquet").to_pylist()
        verdicts = [
            v
            for row in rows
            if row["set"] == "test" and row["decoding"] == "sampled"
            for v in row["verdicts"]
        ]
        assert len(verdicts) == 16 * 4
        assert summary["accuracy"][label]["mean"] == pytest.approx(sum(verdicts) / 64)
        assert summary["accuracy"][label]["n"] == 16
        assert (
            summary["accuracy"][label]["low"]
            <= sum(verdicts) / 64
            <= summary["accuracy"][label]["high"]
        )


def test_every_evaluated_model_is_found_under_its_name(summary):
    assert summary["final_arm"] == "vas"
    assert summary["accuracy"]["by_arm"]["vas"] == summary["accuracy"]["final"]
    assert set(summary["accuracy"]["by_arm"]) == {"uniform", "vas"}
    assert summary["accuracy"]["base"]["n"] == 16
    assert summary["greedy"]["final"]["n"] == 16
    assert summary["held_out_style"]["cold_start"]["n"] == 8


def test_rollouts_are_those_of_the_final_arms_ledger(summary):
    # 6 batches of 12 prompts x 4 rollouts; two refreshes of 48 prompts x 4 rollouts
    assert summary["rollouts"] == {"train": 288, "refresh": 384, "screen": 0, "discarded": 0}
    assert summary["by_arm"]["uniform"]["rollouts"] == {
        "train": 288,
        "refresh": 0,
        "screen": 0,
        "discarded": 0,
    }


def test_tokens_are_those_of_the_stored_groups(finished_run, summary):
    rows = read_groups(finished_run / "rl" / "vas" / "groups").to_pylist()
    for purpose in ("train", "refresh"):
        counted = sum(sum(row["num_tokens"]) for row in rows if row["purpose"] == purpose)
        assert summary["tokens"][purpose] == counted


def test_the_zero_variance_share_is_that_of_the_training_groups(finished_run, summary):
    rows = [
        row
        for row in read_groups(finished_run / "rl" / "vas" / "groups").to_pylist()
        if row["purpose"] == "train"
    ]
    silent = [len(set(row["rewards"])) == 1 for row in rows]
    assert summary["zero_variance_share"] == pytest.approx(np.mean(silent))


def test_times_memory_seed_and_settings_are_copied(summary):
    assert summary["wall_seconds"] == {"tasks": 4.0, "sft": 200.5, "rl": 250.0, "evaluate": 45.0}
    assert summary["peak_memory_mb"] == 2048.0
    assert summary["seed"] == 7
    assert summary["versions"]["torch"] == "2.13.0"
    assert summary["sampler"] == {
        "name": "vas",
        "settings": {"refresh_every": 3, "num_refresh_rollouts": 4},
    }
    assert summary["decoding"]["num_rollouts"] == 4
    assert summary["by_arm"]["vas"]["resumed"] == 1


def test_the_blind_control_stands_beside_the_majority_answer(summary):
    final = summary["blind"]["final"]
    assert final["gap"] == pytest.approx(final["accuracy"]["mean"] - final["majority"])


def test_the_difference_is_paired_by_prompt(summary):
    gain = summary["difference"]["final_minus_cold_start"]
    accuracy = summary["accuracy"]
    assert gain["n"] == 16
    assert gain["mean"] == pytest.approx(accuracy["final"]["mean"] - accuracy["cold_start"]["mean"])
    assert gain["low"] <= gain["mean"] <= gain["high"]


def test_every_arm_but_uniform_is_compared_with_it(summary):
    compared = summary["difference"]["by_arm_minus_uniform"]
    assert set(compared) == {"vas"}
    assert compared["vas"] == summary["difference"]["final_minus_uniform"]


def test_an_arm_that_is_not_the_recipes_sampler_shows_its_own_settings(finished_run, tmp_path):
    shutil.copytree(finished_run, tmp_path / "run")
    path = tmp_path / "run" / "settings.json"
    settings = json.loads(path.read_text())
    settings["recipe"]["sampler"] = {
        "name": "progress",
        "settings": {},
        "others": {"vas": {"mix_ratio": 0.25}},
    }
    path.write_text(json.dumps(settings))
    assert write_summary(tmp_path / "run")["sampler"] == {
        "name": "vas",
        "settings": {"mix_ratio": 0.25},
    }
    named = [text for label, text in essentials(read_run(tmp_path / "run")) if label == "Sampler"]
    assert named == ["uniform", "vas \u00b7 mix ratio 0.25"]


def test_an_empty_folder_gives_nulls_and_no_zero(tmp_path):
    found = write_summary(tmp_path)
    assert found.pop("schema") == 1
    assert set(leaves(found)) == {None}
    assert found["rollouts"] == {"train": None, "refresh": None, "screen": None, "discarded": None}


def test_a_folder_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(DataError, match="there is no such run folder"):
        write_summary(tmp_path / "nowhere")


def test_an_arm_without_an_evaluation_has_no_final_accuracy(finished_run, tmp_path):
    shutil.copytree(finished_run, tmp_path / "run")
    (tmp_path / "run" / "evaluation" / "vas.json").unlink()
    found = write_summary(tmp_path / "run")
    assert found["accuracy"]["final"] is None
    assert found["accuracy"]["cold_start"]["n"] == 16
    assert found["rollouts"]["refresh"] == 384


def test_without_settings_the_last_arm_by_name_is_final(finished_run, tmp_path):
    shutil.copytree(finished_run, tmp_path / "run")
    (tmp_path / "run" / "settings.json").unlink()
    found = write_summary(tmp_path / "run")
    assert (found["final_arm"], found["seed"], found["sampler"]["settings"]) == ("vas", None, None)


def test_not_a_number_and_infinity_become_null(tmp_path):
    (tmp_path / "stages").mkdir()
    (tmp_path / "stages" / "sft.json").write_text('{"seconds": NaN, "peak_memory_mb": Infinity}')
    found = write_summary(tmp_path)
    assert found["wall_seconds"]["sft"] is None
    assert found["peak_memory_mb"] is None
    assert not any(isinstance(leaf, float) and math.isnan(leaf) for leaf in leaves(found))


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "3", '{"sets": 3}', '{"sets": {"test": []}}', '{"decoding": [1]}', "\x00"],
)
def test_a_result_of_another_shape_counts_as_missing(tmp_path, text):
    (tmp_path / "evaluation").mkdir()
    (tmp_path / "evaluation" / "cold_start.json").write_text(text)
    assert write_summary(tmp_path)["accuracy"]["cold_start"] is None
