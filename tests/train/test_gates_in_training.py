"""Real trainings under a gate: what trains, what is charged, what is observed, and that a resumed
run is the same run."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from vasari.score.advantage import ADVANTAGE_DENOMINATORS, group_advantages
from vasari.train.callbacks import read_log
from vasari.train.group_file import read_groups

# Without a reward for the format, a group is silent when all its answers are wrong: always where no
# digit is right.
MIXED = {"gate": "mixed", "rewards": [{"name": "accuracy"}], "trl": {"temperature": 1.2}}


def rows_of(folder, purpose):
    return [row for row in read_groups(folder / "groups").to_pylist() if row["purpose"] == purpose]


def is_mixed(row):
    return (
        len({reward for reward in row["rewards"] if reward is not None and not np.isnan(reward)})
        > 1
    )


@pytest.fixture(scope="module")
def prompts(digit_prompts):
    """The digit prompts; every second three, without, with one and with two images, have an answer
    that is never given."""
    return [
        dataclasses.replace(p, answer="77") if n // 3 % 2 else p
        for n, p in enumerate(digit_prompts)
    ]


@pytest.fixture(scope="module")
def trainer(make_trainer, prompts, tmp_path_factory):
    # Two updates a batch, so that TRL keeps the log-probabilities of the policy that wrote.
    changes = MIXED | {
        "prompts_per_batch": 4,
        "updates_per_batch": 2,
        "save_every": 2,
        "max_generations": 30,
    }
    return make_trainer(prompts, tmp_path_factory.mktemp("gate"), **changes)


@pytest.fixture(scope="module")
def batch(trainer, first_batch):
    """A batch of prompts without, with one and with two images, from several generations."""
    torch.manual_seed(0)
    batch = first_batch(trainer)
    assert trainer._metrics["train"]["generations"][-1] > 1
    return batch


@pytest.fixture(scope="module")
def trained(trainer, batch):
    return rows_of(Path(trainer.args.output_dir), "train")


def test_a_batch_is_full_of_groups_with_variance(trainer, batch, trained):
    assert len(trained) == 4
    assert all(is_mixed(row) for row in trained)
    assert torch.count_nonzero(batch["advantages"].view(4, 4), dim=1).bool().all()


def test_the_batch_holds_the_rollouts_that_are_kept_as_trained(trainer, batch, trained):
    decoded = trainer._tokenizer.batch_decode(batch["completion_ids"], skip_special_tokens=True)
    assert decoded == [text for row in trained for text in row["texts"]]
    rewards = np.array([row["rewards"] for row in trained])
    trl = ADVANTAGE_DENOMINATORS["trl"]
    expected = group_advantages(rewards, scale=trl.scale, ddof=trl.ddof, epsilon=trl.epsilon)
    np.testing.assert_allclose(batch["advantages"].view(4, 4), expected, atol=1e-6)


def test_the_joined_batch_has_the_fields_and_sizes_of_one_generation(trainer, batch):
    ours = {
        "advantages",
        "completion_ids",
        "completion_mask",
        "prompt_ids",
        "prompt_mask",
        "old_per_token_logps",
    }
    assert batch.keys() == ours | {"images", "num_items_in_batch"}
    assert {len(value) for name, value in batch.items() if name in ours} == {16}
    counts = {len(own.get("image_grid_thw", ())) for own in batch["images"]}
    assert counts <= {0, 1, 2}
    assert len(counts) > 1
    assert batch["num_items_in_batch"] == batch["completion_mask"].sum()
    assert [len(own["mm_token_type_ids"]) for own in batch["images"]] == batch["prompt_mask"].sum(
        1
    ).tolist()


def test_the_model_says_of_the_joined_batch_what_it_said_of_the_generations(trainer, batch):
    """With padding, images or token types astray, log-probabilities would not be those of the
    separate generations."""
    ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], 1)
    mask = torch.cat([batch["prompt_mask"], batch["completion_mask"]], 1)
    with torch.no_grad():
        logps, _, _ = trainer._get_per_token_logps_and_entropies(
            trainer.model, ids, mask, batch["completion_ids"].shape[1], pixel_values=batch["images"]
        )
    torch.testing.assert_close(logps, batch["old_per_token_logps"], atol=1e-4, rtol=1e-4)
    assert logps.abs().max() > 0.1
    # What `join_rollouts` pads with is what TRL has there.
    assert not logps[batch["completion_mask"] == 0].any()


def test_every_drawn_group_is_observed_and_charged_once(trainer, batch, trained):
    discarded = rows_of(Path(trainer.args.output_dir), "discarded")
    assert not any(is_mixed(row) for row in discarded)
    assert trainer.loop.run.ledger.rollouts == {
        "train": 16,
        "refresh": 0,
        "screen": 0,
        "discarded": 4 * len(discarded),
    }
    tokens = [sum(sum(row["num_tokens"]) for row in rows) for rows in (trained, discarded)]
    assert [trainer.loop.run.ledger.tokens[name] for name in ("train", "discarded")] == tokens


def test_the_log_says_how_often_a_batch_was_rolled_out_and_how_much_of_it_trained(
    trainer, batch, trained
):
    discarded = rows_of(Path(trainer.args.output_dir), "discarded")
    logged = {
        name: trainer._metrics["train"][name][-1]
        for name in ("trained_share", "zero_variance_share", "generations")
    }
    assert len(trainer._metrics["train"]["reward"]) == logged["generations"]
    assert logged["trained_share"] == pytest.approx(4 / (4 + len(discarded)))
    # One process never draws more than it lacks, so what does not train has no variance.
    assert logged["zero_variance_share"] == pytest.approx(1 - logged["trained_share"])


@pytest.mark.slow
def test_a_batch_without_enough_variance_keeps_its_size(
    make_trainer, first_batch, prompts, tmp_path
):
    trainer = make_trainer(
        prompts, tmp_path, **MIXED | {"max_generations": 1, "prompts_per_batch": 12}
    )
    torch.manual_seed(0)
    output = first_batch(trainer)
    discarded = rows_of(tmp_path, "discarded")
    assert len(discarded) >= 6
    assert len(output["advantages"]) == 48
    assert torch.count_nonzero(output["advantages"].view(12, 4), dim=1).bool().sum() == 12 - len(
        discarded
    )


@pytest.mark.slow
def test_a_spent_cap_fills_the_batch_with_refused_groups(
    make_trainer, first_batch, digit_prompts, tmp_path
):
    hopeless = [dataclasses.replace(prompt, answer="77") for prompt in digit_prompts]
    trainer = make_trainer(hopeless, tmp_path, **MIXED | {"max_generations": 3})
    output = first_batch(trainer)
    assert not output["advantages"].any()
    assert len(output["advantages"]) == 12
    assert trainer.loop.run.ledger.rollouts["discarded"] == 3 * 12
    assert rows_of(tmp_path, "train") == []


@pytest.fixture(scope="module")
def whole(run_small, prompts, tmp_path_factory):
    """A finished training under the gate, with a sampler that learns from what it observes."""
    out = tmp_path_factory.mktemp("whole")
    return out, run_small(out, prompts=prompts, sampler="vas", steps=3, **MIXED)


@pytest.mark.slow
def test_a_run_trains_on_groups_with_variance_and_charges_all_others(whole):
    out, facts = whole
    trained, discarded = rows_of(out, "train"), rows_of(out, "discarded")
    assert discarded
    assert all(is_mixed(row) for row in trained)
    assert facts["rollouts"]["train"] == 4 * len(trained)
    assert facts["rollouts"]["discarded"] == 4 * len(discarded)
    generations = [
        row["generations"] for row in read_log(out / "metrics.jsonl") if "generations" in row
    ]
    assert len(generations) == 3
    assert max(generations) > 1


@pytest.mark.slow
def test_a_sampler_is_told_of_every_group_in_the_order_in_which_it_drew_them(
    make_trainer, first_batch, prompts, remembering_sampler, tmp_path
):
    sampler = remembering_sampler(12)
    changes = MIXED | {"prompts_per_batch": 12, "micro_batch": 12}
    trainer = make_trainer(prompts, tmp_path, sampler=sampler, **changes)
    torch.manual_seed(0)
    first_batch(trainer)
    told = sampler.told
    assert len(told) > 12
    assert [group.index for group in told] == sampler.drawn
    assert {(group.purpose, group.batch) for group in told} == {("train", 0)}
    kept = read_groups(tmp_path / "groups").to_pylist()
    assert [(group.index, group.rewards.tolist()) for group in told] == [
        (row["prompt_index"], row["rewards"]) for row in kept
    ]


@pytest.mark.slow
@pytest.mark.heavy
def test_a_resumed_run_is_the_run_that_was_not_interrupted(whole, run_small, prompts, tmp_path):
    out, facts = whole
    run_small(tmp_path, prompts=prompts, sampler="vas", steps=3, **MIXED)
    for name in ("checkpoint-2", "checkpoint-3", "last"):
        shutil.rmtree(tmp_path / name, ignore_errors=True)
    again = run_small(tmp_path, prompts=prompts, sampler="vas", steps=3, resume=True, **MIXED)
    assert again["rollouts"] == facts["rollouts"]
    assert str(read_groups(tmp_path / "groups").to_pylist()) == str(
        read_groups(out / "groups").to_pylist()
    )
    saved = [
        json.loads((folder / "checkpoint-3" / "vasari_run.json").read_text())
        for folder in (tmp_path, out)
    ]
    assert saved[0] == saved[1]
    one, other = (load_file(folder / "last" / "model.safetensors") for folder in (tmp_path, out))
    assert all(torch.equal(one[name], other[name]) for name in one)
