"""Real batches under the gate of two stages: what is generated, what trains, what is charged, what
is observed."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from vasari.core.errors import StateError
from vasari.score.advantage import ADVANTAGE_DENOMINATORS, group_advantages
from vasari.train.group_file import read_groups
from vasari.train.groups import verify_prompt

# Two of six rollouts are the screening. A rollout is right one time in four, so three prompts of
# eight go on.
SIZE, FIRST = 6, 2
SCREENED = {
    "gate": "two_stage",
    "screening": {"rollouts": FIRST},
    "rollouts_per_prompt": SIZE,
    "rewards": [{"name": "accuracy"}, {"name": "format", "weight": 0.5}],
    "trl": {"temperature": 1.2},
    "max_generations": 30,
}

LONG = SCREENED | {"micro_batch": 6, "max_generations": 3}


def rows_of(folder, purpose):
    return [row for row in read_groups(folder).to_pylist() if row["purpose"] == purpose]


def watch_generations(trainer):
    """Each time that the trainer generates: how many rollouts, and how many of a prompt follow each
    other."""
    asked = []
    single_turn = trainer._generate_single_turn

    def remembered(prompt_ids, *rest, **more):
        asked.append((len(prompt_ids), trainer.num_generations))
        return single_turn(prompt_ids, *rest, **more)

    trainer._generate_single_turn = remembered
    return asked


@pytest.fixture(scope="module")
def prompts(digit_prompts):
    """The digit prompts thrice, without, with one and with two images; the first three have an
    answer never given."""
    thrice = [
        dataclasses.replace(p, id=f"{p.id}-{copy}") for copy in range(3) for p in digit_prompts
    ]
    return [dataclasses.replace(p, answer="77") for p in thrice[:3]] + thrice[3:]


@pytest.fixture(scope="module")
def trainer(make_trainer, prompts, tmp_path_factory):
    # Two updates a batch, so that TRL keeps the log-probabilities of the policy that wrote.
    changes = SCREENED | {
        "prompts_per_batch": 4,
        "updates_per_batch": 2,
        "save_every": 2,
        "micro_batch": 6,
    }
    verified = []

    def counted(prompt, text):
        verified.append(prompt.id)
        return verify_prompt(prompt, text)

    trainer = make_trainer(prompts, tmp_path_factory.mktemp("screened"), verify=counted, **changes)
    trainer.asked = watch_generations(trainer)
    trainer.verified = verified
    return trainer


@pytest.fixture(scope="module")
def batch(trainer, first_batch):
    torch.manual_seed(0)
    batch = first_batch(trainer)
    assert trainer._metrics["train"]["generations"][-1] > 1
    return batch


@pytest.fixture(scope="module")
def trained(trainer, batch):
    return rows_of(Path(trainer.args.output_dir) / "groups", "train")


@pytest.fixture(scope="module")
def screened(trainer, batch):
    return rows_of(Path(trainer.args.output_dir) / "groups", "screen")


def test_whole_groups_train_and_their_first_rollouts_promised_variance(batch, trained):
    assert [len(row["texts"]) for row in trained] == [SIZE] * 4
    assert [sorted(row["verdicts"][:FIRST]) for row in trained] == [[0.0, 1.0]] * 4
    assert len(batch["advantages"]) == 4 * SIZE


def test_what_is_kept_of_refused_prompts_is_a_unanimous_screening(screened):
    assert screened
    assert [len(row["texts"]) for row in screened] == [FIRST] * len(screened)
    assert all(len(set(row["verdicts"])) == 1 for row in screened)


def test_only_the_rest_of_a_promising_group_is_generated(trainer, batch, trained, screened):
    screenings, rest = trainer.asked[:-1], trainer.asked[-1]
    assert sum(num for num, _ in screenings) == FIRST * (len(trained) + len(screened))
    assert {size for _, size in screenings} == {FIRST}
    assert rest == (4 * (SIZE - FIRST), SIZE - FIRST)
    assert len(screenings) == trainer._metrics["train"]["generations"][-1]
    assert trainer.num_generations == SIZE


def test_every_rollout_is_charged_once_for_what_it_was_spent_on(trainer, batch, trained, screened):
    assert trainer.loop.run.ledger.rollouts == {
        "train": 4 * SIZE,
        "refresh": 0,
        "screen": FIRST * len(screened),
        "discarded": 0,
    }
    tokens = [sum(sum(row["num_tokens"]) for row in rows) for rows in (trained, screened)]
    assert [trainer.loop.run.ledger.tokens[name] for name in ("train", "screen")] == tokens


def test_trl_counts_the_tokens_of_every_rollout_once(trainer, batch, trained, screened):
    """What TRL counts is prompts as well; they are as long as the processor says."""
    lengths = {
        index: len(trainer._tokenize_prompts([_messages(trainer, index)])[0][0])
        for index in range(36)
    }
    rows = [*trained, *screened]
    expected = sum(
        sum(row["num_tokens"]) + lengths[row["prompt_index"]] * len(row["num_tokens"])
        for row in rows
    )
    assert trainer.state.num_input_tokens_seen == expected


def test_advantages_are_those_of_the_whole_group(batch, trained):
    rewards = np.array([row["rewards"] for row in trained])
    trl = ADVANTAGE_DENOMINATORS["trl"]
    expected = group_advantages(rewards, scale=trl.scale, ddof=trl.ddof, epsilon=trl.epsilon)
    np.testing.assert_allclose(batch["advantages"].view(4, SIZE), expected, atol=1e-6)
    apart = [
        group_advantages(part, scale=trl.scale, ddof=1, epsilon=1e-4)
        for part in np.split(rewards, [FIRST], axis=1)
    ]
    assert np.abs(expected - np.concatenate(apart, axis=1)).max() > 0.1


def test_the_batch_holds_the_rollouts_that_are_kept_as_trained(trainer, batch, trained):
    decoded = trainer._tokenizer.batch_decode(batch["completion_ids"], skip_special_tokens=True)
    assert decoded == [text for row in trained for text in row["texts"]]
    assert batch["completion_mask"].sum(1).tolist() == [
        num for row in trained for num in row["num_tokens"]
    ]


def test_old_log_probabilities_are_of_the_policy_that_wrote_all_of_the_group(
    trainer, batch, trained
):
    """With a pilot's tokens beside another prompt's images, the model would say something else."""
    for place, row in enumerate(trained):
        own = slice(place * SIZE, (place + 1) * SIZE)
        alone = trainer._tokenize_prompts([_messages(trainer, row["prompt_index"])])[0][0]
        ids, mask = batch["prompt_ids"][own], batch["prompt_mask"][own].bool()
        assert all(line[keep].tolist() == list(alone) for line, keep in zip(ids, mask, strict=True))
    assert [len(own.get("image_grid_thw", ())) for own in batch["images"]] == [
        row["prompt_index"] % 3 for row in trained for _ in range(SIZE)
    ]
    with torch.no_grad():
        logps, _, _ = trainer._get_per_token_logps_and_entropies(
            trainer.model,
            torch.cat([batch["prompt_ids"], batch["completion_ids"]], 1),
            torch.cat([batch["prompt_mask"], batch["completion_mask"]], 1),
            batch["completion_ids"].shape[1],
            pixel_values=batch["images"],
        )
    torch.testing.assert_close(logps, batch["old_per_token_logps"], atol=1e-4, rtol=1e-4)


def test_a_verdict_of_the_screening_stands(trainer, batch):
    """A reward by chance must not be drawn again: as many rollouts are verified as are paid for."""
    assert len(trainer.verified) == trainer.loop.run.ledger.total_rollouts


def test_the_log_says_how_much_was_screened_and_what_came_of_it(trainer, batch, trained, screened):
    logged = {name: values[-1] for name, values in trainer._metrics["train"].items()}
    assert logged["trained_share"] == pytest.approx(4 / (4 + len(screened)))
    assert logged["ledger/rollouts/screen"] == FIRST * len(screened)
    # Unanimous and without variance, but where a format was missed.
    silent = [len(set(row["rewards"])) == 1 for row in [*trained, *screened]]
    assert logged["zero_variance_share"] == pytest.approx(np.mean(silent))


@pytest.mark.slow
def test_a_sampler_is_told_of_a_prompt_once_of_whole_groups_and_of_screenings(
    make_trainer, first_batch, prompts, remembering_sampler, tmp_path
):
    changes = SCREENED | {
        "screening": {"rollouts": FIRST, "candidates": 8.0},
        "prompts_per_batch": 4,
        "micro_batch": 12,
    }
    sampler = remembering_sampler(36)
    trainer = make_trainer(prompts, tmp_path, sampler=sampler, **changes)
    torch.manual_seed(2)
    first_batch(trainer)
    told = sampler.told
    assert sorted(group.index for group in told) == sorted(sampler.drawn)
    whole = [group for group in told if group.purpose == "train"]
    assert [group.num_rollouts for group in whole] == [SIZE] * 4
    screened_only = [group for group in told if group.purpose == "screen"]
    assert {group.num_rollouts for group in screened_only} == {FIRST}
    # 32 candidates for four places: some promised variance in vain, and are told and paid for as
    # well.
    assert any(len(set(group.verdicts)) > 1 for group in screened_only)
    assert trainer.loop.run.ledger.rollouts["screen"] == FIRST * len(screened_only)
    kept = {
        row["prompt_index"]: row["rewards"] for row in read_groups(tmp_path / "groups").to_pylist()
    }
    assert {group.index: group.rewards.tolist() for group in told} == kept


@pytest.mark.slow
def test_screenings_fill_a_batch_without_moving_the_weights(
    make_trainer, first_batch, digit_prompts, tmp_path
):
    changes = SCREENED | {
        "prompts_per_batch": 12,
        "micro_batch": 12,
        "max_generations": 1,
        "updates_per_batch": 2,
    }
    trainer = make_trainer(digit_prompts, tmp_path, **changes | {"save_every": 2})
    asked = watch_generations(trainer)
    torch.manual_seed(0)
    output = first_batch(trainer)
    trained = rows_of(tmp_path / "groups", "train")
    assert 0 < len(trained) < 12
    assert asked == [(12 * FIRST, FIRST), (len(trained) * (SIZE - FIRST), SIZE - FIRST)]
    assert len(output["advantages"]) == 12 * SIZE
    heard = torch.count_nonzero(output["advantages"].view(12, SIZE), dim=1).bool()
    # Those that train come first.
    assert heard.tolist() == [True] * len(trained) + [False] * (12 - len(trained))
    assert trainer.loop.run.ledger.rollouts == {
        "train": SIZE * len(trained),
        "refresh": 0,
        "screen": FIRST * (12 - len(trained)),
        "discarded": 0,
    }


@pytest.mark.slow
def test_nothing_more_is_generated_where_no_prompt_promises_variance(
    make_trainer, first_batch, digit_prompts, tmp_path
):
    hopeless = [dataclasses.replace(prompt, answer="77") for prompt in digit_prompts]
    trainer = make_trainer(
        hopeless, tmp_path, **SCREENED | {"max_generations": 2, "micro_batch": 6}
    )
    asked = watch_generations(trainer)
    output = first_batch(trainer)
    assert asked == [(3 * FIRST, FIRST)] * 2
    assert not output["advantages"].any()
    assert len(output["advantages"]) == 3 * SIZE
    assert trainer.loop.run.ledger.rollouts == {
        "train": 0,
        "refresh": 0,
        "screen": 2 * 3 * FIRST,
        "discarded": 0,
    }
    # A screening of two, thrice over, is what fills a place of six.
    ids = output["completion_ids"].view(3, SIZE, -1)
    assert all(torch.equal(ids[:, place], ids[:, place + FIRST]) for place in range(SIZE - FIRST))


@pytest.mark.slow
def test_a_batchs_deviation_and_the_reference_are_of_whole_groups(
    make_trainer, first_batch, prompts, tmp_path
):
    changes = SCREENED | {
        "micro_batch": 6,
        "trl": SCREENED["trl"] | {"scale_rewards": "batch", "beta": 0.05},
    }
    trainer = make_trainer(prompts, tmp_path, **changes)
    torch.manual_seed(1)
    output = first_batch(trainer)
    rewards = np.array([row["rewards"] for row in rows_of(tmp_path / "groups", "train")])
    assert rewards.shape == (3, SIZE)
    # TRL: (r - mean of the group) / (Bessel-corrected deviation of the batch + 1e-4).
    expected = (rewards - rewards.mean(1, keepdims=True)) / (rewards.std(ddof=1) + 1e-4)
    np.testing.assert_allclose(output["advantages"].view(3, SIZE), expected, atol=1e-5)
    assert output["ref_per_token_logps"].shape == output["completion_ids"].shape


@pytest.mark.slow
def test_log_probabilities_that_a_backend_says_stay_with_their_rollouts(
    make_trainer, first_batch, prompts, tmp_path
):
    """TRL corrects for what vLLM sampled from by them; here its `rollout_func` plays the
    backend."""
    trainer = make_trainer(
        [dataclasses.replace(p, answer="1") for p in prompts],
        tmp_path,
        **SCREENED | {"micro_batch": 6},
    )
    said = []

    def right_and_wrong_in_turn(messages, trainer):
        texts = [
            f"<think>see</think><answer>\\boxed{{{1 + place % 2}}}</answer>"
            for place in range(len(messages))
        ]
        ids = [
            [*trainer._tokenizer(text)["input_ids"], trainer._tokenizer.eos_token_id]
            for text in texts
        ]
        numbers = range(len(said) + 1, len(said) + len(texts) + 1)
        said.extend(numbers)
        return {
            "prompt_ids": trainer._tokenize_prompts(messages)[0],
            "completion_ids": ids,
            "logprobs": [
                [-float(number)] * len(own) for number, own in zip(numbers, ids, strict=True)
            ],
        }

    trainer.rollout_func = right_and_wrong_in_turn
    output = first_batch(trainer)
    # Three prompts: rollouts 1 to 6 are their screenings, 7 to 18 the rest.
    expected = [
        [-1, -2, -7, -8, -9, -10],
        [-3, -4, -11, -12, -13, -14],
        [-5, -6, -15, -16, -17, -18],
    ]
    assert output["sampling_per_token_logps"][:, 0].view(3, SIZE).tolist() == expected
    assert [row["verdicts"] for row in rows_of(tmp_path / "groups", "train")] == [[1, 0] * 3] * 3


@pytest.fixture(scope="module")
def run(run_small, prompts, tmp_path_factory):
    """A finished run of a budget of 60 rollouts with steps for many more, and what it reported."""
    out = tmp_path_factory.mktemp("run")
    return out, run_small(
        out, prompts=prompts, steps=12, max_rollouts=60, validate_every=12, **LONG
    )


@pytest.mark.slow
def test_screenings_count_against_the_budget(run):
    out, facts = run
    spent = np.zeros(facts["batches"], dtype=int)
    for row in read_groups(out / "groups").to_pylist():
        spent[row["batch"]] += len(row["rewards"])
    assert spent.sum() == sum(facts["rollouts"].values()) >= 60
    assert spent[:-1].sum() < 60
    assert facts["rollouts"]["screen"] > 0


@pytest.mark.slow
def test_a_run_does_not_go_on_under_another_gate(run, run_small, prompts, tmp_path):
    other = {name: value for name, value in LONG.items() if name not in ("gate", "screening")}
    with pytest.raises(StateError, match=r"written with the gate two_stage, this run uses all"):
        run_small(run[0], prompts=prompts, steps=12, validate_every=12, resume=True, **other)
    run_small(tmp_path, prompts=prompts, steps=1, validate_every=1, **other)
    with pytest.raises(StateError, match=r"written with the gate all, this run uses two_stage"):
        run_small(tmp_path, prompts=prompts, steps=2, validate_every=2, resume=True, **LONG)


def _messages(trainer, index):
    from trl import prepare_multimodal_messages

    row = trainer.train_dataset[index]
    return prepare_multimodal_messages(row["prompt"], images=row["images"])
