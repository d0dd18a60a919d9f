"""Scores on taught and untaught levels, worked out by hand from a few verdicts."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vasari.core.files import write_json
from vasari.evaluate.rollouts import ROLLOUT_SCHEMA
from vasari.report import write_report, write_summary
from vasari.report.taught import _scores

# Level, then the verdicts of four rollouts and of the greedy one, by model.
VERDICTS = {
    "a": ("easy", {"cold_start": ([1, 1, 1, 0], 1), "uniform": ([1, 1, 1, 1], 1)}),
    "b": ("easy", {"cold_start": ([1, 1, 0, 1], 1), "uniform": ([1, 1, 1, 1], 1)}),
    "c": ("hard", {"cold_start": ([0, 0, 0, 1], 0), "uniform": ([1, 1, 0, 1], 1)}),
    "d": ("hard", {"cold_start": ([0, 0, 0, 0], 0), "uniform": ([0, 0, 1, 0], 0)}),
    "e": ("hard", {"cold_start": ([0, 1, 0, 0], 0), "uniform": ([0, 0, 0, 0], 0)}),
    "f": ("hard", {"cold_start": ([0, 0, 0, 0], 1), "uniform": ([1, 1, 1, 1], 1)}),
}


@pytest.fixture
def make_run(tmp_path):
    def make(levels):
        tasks = {"families": ["mine"], "cold_start_levels": levels}
        write_json(
            tmp_path / "settings.json",
            {"recipe": {"prompts": {"tasks": tasks}, "sampler": {"name": "uniform"}}},
        )
        (tmp_path / "evaluation").mkdir()
        for model in ("cold_start", "uniform"):
            rows = []
            for prompt, (level, found) in VERDICTS.items():
                sampled, greedy = found[model]
                for decoding, verdicts in (("sampled", sampled), ("greedy", [greedy])):
                    rows.append(
                        dict.fromkeys(ROLLOUT_SCHEMA.names)
                        | {
                            "set": "test",
                            "decoding": decoding,
                            "prompt_id": prompt,
                            "difficulty": level,
                            "texts": ["" for _ in verdicts],
                            "verdicts": [float(verdict) for verdict in verdicts],
                        }
                    )
            table = pa.Table.from_pylist(rows, schema=ROLLOUT_SCHEMA)
            pq.write_table(table, tmp_path / "evaluation" / f"{model}-rollouts.parquet")
            write_json(tmp_path / "evaluation" / f"{model}.json", {"model": model, "sets": {}})
        return tmp_path

    return make


def test_untaught_levels_are_scored_apart(make_run):
    summary = write_summary(make_run(["easy"]))
    untaught = summary["untaught"]
    assert (untaught["levels"], untaught["k"]) == (["hard"], 4)
    # c, d, e, f: 1/4, 0, 1/4, 0 of four before; 3/4, 1/4, 0, 1 after.
    assert untaught["accuracy"]["cold_start"]["mean"] == pytest.approx(0.125)
    assert untaught["accuracy"]["final"]["mean"] == pytest.approx(0.5)
    assert untaught["greedy"]["cold_start"]["mean"] == pytest.approx(0.25)
    assert untaught["greedy"]["final"]["mean"] == pytest.approx(0.5)
    # Solved at all: c and e before; c, d and f after.
    assert untaught["pass_at"]["cold_start"]["mean"] == pytest.approx(0.5)
    assert untaught["pass_at"]["final"]["mean"] == pytest.approx(0.75)
    gain = untaught["difference"]["final_minus_cold_start"]
    assert gain["accuracy"]["mean"] == pytest.approx(0.375)
    assert gain["greedy"]["mean"] == pytest.approx(0.25)
    assert gain["pass_at"]["mean"] == pytest.approx(0.25)
    assert gain["greedy"]["low"] <= 0.25 <= gain["greedy"]["high"]
    assert gain["greedy"]["n"] == 4


def test_taught_levels_are_the_others(make_run):
    taught = write_summary(make_run(["easy"]))["taught"]
    assert taught["levels"] == ["easy"]
    assert taught["accuracy"]["cold_start"]["mean"] == pytest.approx(0.75)
    assert taught["accuracy"]["by_arm"]["uniform"]["mean"] == pytest.approx(1.0)
    assert taught["difference"]["final_minus_cold_start"]["greedy"]["mean"] == pytest.approx(0.0)


def test_a_run_whose_cold_start_is_taught_everything_has_neither(make_run):
    summary = write_summary(make_run([]))
    assert summary["taught"] is None
    assert summary["untaught"] is None


def test_the_page_shows_the_gain_on_untaught_levels(make_run):
    page = write_report(make_run(["easy"])).read_text()
    assert "Levels that the cold start was not taught: hard" in page
    assert "25.0 → 50.0, +25.0 points" in page


def test_pass_at_k_has_one_k_however_many_rollouts_a_model_has():
    found = _scores({"a": {"verdicts": [1.0] + [0.0] * 15}}, {}, k=4)
    assert found["pass_at"]["a"] == pytest.approx(4 / 16)  # the one right rollout is among four
