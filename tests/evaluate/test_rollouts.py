"""A killed evaluation pays for nothing twice, and a changed one starts afresh."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from vasari.core.errors import DataError, ImageError
from vasari.evaluate.collect import prompt_digest
from vasari.evaluate.rollouts import read_rollouts
from vasari.evaluate.run import evaluate_policy
from vasari.evaluate.settings import EvaluateSettings
from vasari.model.base import Decoding
from vasari.model.scripted import ScriptedPolicy
from vasari.records import ImageRef, Prompt

# 20 prompts: 10 parts of sampled rollouts, 2 greedy ones, 2 blind ones.
SMALL_PARTS = EvaluateSettings(num_rollouts=4, rollouts_per_part=10)


class Counted(ScriptedPolicy):
    """Answers at random, counts what it wrote, and is killed after `lives` calls of `generate`."""

    def __init__(self, lives: int = 10**9) -> None:
        super().__init__(self._write)
        self.num_written = 0
        self.lives = lives

    def _write(self, prompt: Prompt, rng: np.random.Generator) -> str:
        self.num_written += 1
        return f"<think>t</think><answer>\\boxed{{{rng.integers(3)}}}</answer>"

    def generate(self, *args, **kwargs):
        self.lives -= 1
        if self.lives < 0:
            raise KeyboardInterrupt
        return super().generate(*args, **kwargs)


@pytest.fixture
def prompts(make_prompts):
    return make_prompts(20, answer=lambda i: str(i % 3))


def run(policy, prompts, out, chosen=SMALL_PARTS, *, fingerprint="weights 1", name="m"):
    found = evaluate_policy(
        policy, {"t": prompts}, chosen, name=name, out=out, fingerprint=fingerprint
    )
    return {key: value for key, value in found.items() if key != "seconds"}


@pytest.mark.parametrize("lives", [0, 1, 5, 10, 11, 13])
def test_a_killed_evaluation_continues_to_the_same_result_and_repeats_nothing(
    lives, prompts, tmp_path
):
    whole = Counted()
    unbroken = run(whole, prompts, tmp_path / "unbroken")
    first, second = Counted(lives), Counted()
    with pytest.raises(KeyboardInterrupt):
        run(first, prompts, tmp_path / "broken")
    assert run(second, prompts, tmp_path / "broken") == unbroken
    assert first.num_written + second.num_written == whole.num_written == 20 * (4 + 1 + 1)


@pytest.mark.parametrize("cut", [1, 100, 1000])
def test_only_a_part_that_lost_an_output_is_generated_again(cut, prompts, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(Counted(6), prompts, tmp_path)
    (part,) = (tmp_path / "m-rollouts-parts").glob("*.jsonl")
    outputs = part.read_bytes()
    assert outputs.count(b"\n") == 6 * 2 * 4
    part.write_bytes(outputs[:-cut])
    again = Counted()
    run(again, prompts, tmp_path)
    assert again.num_written == 20 * 6 - 5 * 2 * 4


def test_the_time_of_earlier_attempts_counts(prompts, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(Counted(10), prompts, tmp_path)
    outputs = [path.read_text() for path in (tmp_path / "m-rollouts-parts").glob("*.jsonl")]
    before = sum(json.loads(line)["seconds"] for text in outputs for line in text.splitlines())
    sets = {"t": prompts}
    found = evaluate_policy(
        Counted(), sets, SMALL_PARTS, name="m", out=tmp_path, fingerprint="weights 1"
    )
    assert 0 < before < found["seconds"]


def test_a_finished_evaluation_is_read_and_leaves_no_parts(prompts, tmp_path):
    before = run(Counted(), prompts, tmp_path)
    again = Counted()
    assert run(again, prompts, tmp_path) == before
    assert again.num_written == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m-rollouts.parquet", "m.json"]


def test_other_pass_at_k_and_batches_cost_no_rollouts(prompts, tmp_path):
    run(Counted(), prompts, tmp_path)
    again = Counted()
    chosen = SMALL_PARTS.model_copy(update={"pass_at": (1, 3), "batch_rollouts": 1})
    found = run(again, prompts, tmp_path, chosen)
    assert again.num_written == 0
    assert list(found["sets"]["t"]["sampled"]["pass_at"]) == ["1", "3"]


@pytest.mark.parametrize(
    ("change", "num_written"),
    [
        ({"temperature": 0.5}, 20 * 5),
        ({"max_tokens": 97}, 20 * 6),
        ({"seed": 1}, 20 * 6),
        ({"blind_rollouts": 2}, 20 * 2),
        ({"num_rollouts": 5}, 20 * 5),
    ],
)
def test_changed_settings_generate_what_they_touch(change, num_written, prompts, tmp_path):
    run(Counted(), prompts, tmp_path)
    again = Counted()
    run(again, prompts, tmp_path, SMALL_PARTS.model_copy(update=change))
    assert again.num_written == num_written


def test_another_model_starts_afresh(prompts, tmp_path):
    run(Counted(), prompts, tmp_path)
    again = Counted()
    run(again, prompts, tmp_path, fingerprint="weights 2")
    assert again.num_written == 20 * 6


def test_without_a_fingerprint_nothing_is_reused(prompts, tmp_path):
    run(Counted(), prompts, tmp_path, fingerprint="")
    again = Counted()
    run(again, prompts, tmp_path, fingerprint="")
    assert again.num_written == 20 * 6


def test_a_corrected_answer_starts_afresh(prompts, tmp_path):
    run(Counted(), prompts, tmp_path)
    again = Counted()
    run(again, [replace(prompts[0], answer="9"), *prompts[1:]], tmp_path)
    assert again.num_written == 20 * 6


def test_a_set_that_is_added_costs_its_own_rollouts_only(prompts, make_prompts, tmp_path):
    run(Counted(), prompts, tmp_path)
    again = Counted()
    sets = {"t": prompts, "more": make_prompts(3)}
    evaluate_policy(again, sets, SMALL_PARTS, name="m", out=tmp_path, fingerprint="weights 1")
    assert again.num_written == 3 * 6


def test_the_digest_of_a_prompt_depends_on_all_that_is_asked_and_on_nothing_else(prompts):
    prompt = prompts[0]
    other = prompts[1]
    changed = [
        replace(prompt, question="Another?"),
        replace(prompt, answer="7"),
        replace(prompt, kind="text"),
        replace(prompt, id="x"),
        replace(prompt, choices=("a", "b")),
        replace(prompt, images=other.images),
        replace(prompt, images=()),
    ]
    assert len({prompt_digest(each) for each in [prompt, *changed]}) == 8
    assert prompt_digest(
        replace(prompt, category="pies", metadata={"style": 3}, solution="s")
    ) == prompt_digest(prompt)


def test_an_image_has_the_same_digest_in_memory_and_in_a_file(prompts, tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(prompts[0].images[0].data)
    assert prompt_digest(replace(prompts[0], images=(ImageRef(path=str(path)),))) == prompt_digest(
        prompts[0]
    )


def test_a_missing_image_is_found_before_anything_is_generated(prompts, tmp_path):
    policy = Counted()
    with pytest.raises(ImageError, match="prompt 'lost'"):
        run(
            policy,
            [
                *prompts,
                replace(prompts[0], id="lost", images=(ImageRef(path=str(tmp_path / "none.png")),)),
            ],
            tmp_path,
        )
    assert policy.num_written == 0


def test_a_policy_that_gives_too_few_rollouts_is_refused(prompts, tmp_path):
    class Short(ScriptedPolicy):
        def generate(self, prompts, decoding, *, seed, tell=None):
            return super().generate(prompts, Decoding(num_rollouts=1), seed=seed)[1:]

    with pytest.raises(DataError, match="asked for 4 rollouts of 2 prompts and gave 1 in 1 groups"):
        run(Short(lambda p, rng: "1"), prompts, tmp_path)


def test_text_that_is_no_unicode_is_kept_as_far_as_it_can_be(prompts, tmp_path):
    run(ScriptedPolicy(lambda p, rng: "<answer>\ud800</answer>"), prompts[:1], tmp_path)
    row = read_rollouts(tmp_path / "m-rollouts.parquet")[0]
    assert (row["texts"][0], row["extractions"][0]) == ("<answer>?</answer>", "?")


def test_a_rollouts_file_says_how_it_was_drawn(prompts, tmp_path):
    run(Counted(), prompts, tmp_path)
    facts = pq.read_schema(tmp_path / "m-rollouts.parquet").metadata[b"vasari_passes"]
    assert {
        (item["set"], item["name"]): item["decoding"]["num_rollouts"]
        for item in json.loads(facts).values()
    } == {("t", "sampled"): 4, ("t", "greedy"): 1, ("t", "blind"): 1}


def test_a_file_that_is_no_rollouts_file_is_refused(tmp_path):
    (tmp_path / "x.parquet").write_bytes(b"nothing")
    with pytest.raises(DataError, match="rollouts"):
        read_rollouts(tmp_path / "x.parquet")
    with pytest.raises(DataError, match="no such file"):
        read_rollouts(tmp_path / "absent.parquet")
