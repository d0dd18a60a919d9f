import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from trl import GRPOTrainer

from vasari.train.trl_batch import drop_zero_advantage_rollouts

ADVANTAGES = st.lists(st.sampled_from([0.0, 0.0, 1.5, -0.5]), min_size=1, max_size=8)


def micro_batch(advantages, images):
    """Rollout r has tokens r and the pixels r, r + 0.1, ..., one for each of its images."""
    rows = torch.arange(len(advantages))
    return {
        "advantages": torch.tensor(advantages),
        "completion_ids": rows[:, None].repeat(1, 3),
        "num_items_in_batch": torch.tensor(7),
        "images": [
            {"pixel_values": torch.arange(count) * 0.1 + row} if count else {}
            for row, count in enumerate(images)
        ],
    }


@given(ADVANTAGES, st.data())
def test_what_stays_is_every_rollout_with_an_advantage_with_its_own_images(advantages, data):
    images = data.draw(
        st.lists(st.integers(0, 2), min_size=len(advantages), max_size=len(advantages))
    )
    at_least = data.draw(st.integers(0, 9))
    kept, share = drop_zero_advantage_rollouts(micro_batch(advantages, images), at_least=at_least)
    rows = kept["completion_ids"][:, 0].tolist()
    assert set(rows) >= {row for row, a in enumerate(advantages) if a != 0}
    assert rows == sorted(rows)
    assert len(rows) >= min(max(1, at_least), len(advantages))
    assert share == len(rows) / len(advantages)
    assert kept["num_items_in_batch"] == 7
    expected = [r + 0.1 * place for r in rows for place in range(images[r])]
    pixels = [own["pixel_values"] for own in kept["images"] if own]
    assert (torch.cat(pixels).tolist() if pixels else []) == pytest.approx(expected)


def test_what_tools_wrote_is_cut_with_its_rollout():
    batch = micro_batch([0.0, 1.0, 0.0], [0, 0, 0]) | {"tool_mask": torch.eye(3).long()}
    kept, _ = drop_zero_advantage_rollouts(batch)
    assert kept["tool_mask"].tolist() == [[0, 1, 0]]


@given(ADVANTAGES)
def test_silent_rollouts_are_kept_only_as_far_as_they_are_needed(advantages):
    kept, _ = drop_zero_advantage_rollouts(micro_batch(advantages, [0] * len(advantages)))
    assert len(kept["advantages"]) == max(1, sum(a != 0 for a in advantages))


@pytest.fixture(scope="module")
def trainer(make_trainer, digit_prompts, tmp_path_factory):
    # Two updates a batch, so that ratios are taken against the log-probabilities of another policy.
    return make_trainer(
        digit_prompts[:3],
        tmp_path_factory.mktemp("silent"),
        micro_batch=12,
        updates_per_batch=2,
        steps=4,
        save_every=2,
    )


@pytest.fixture(scope="module")
def batch(trainer, first_batch):
    """Rollouts of a prompt without, one with one, and one with two images; weights moved since."""
    batch = first_batch(trainer)
    batch["pixel_values"] = batch["images"]  # where TRL's own method looks for them
    torch.manual_seed(1)
    with torch.no_grad():
        for weight in trainer.model.parameters():
            weight.add_(0.01 * torch.randn_like(weight))
    return batch


def loss_and_gradients(compute, trainer, batch):
    trainer.model.zero_grad()
    loss = compute(trainer, trainer.model, batch)
    loss.backward()
    return loss.detach(), {
        name: weight.grad.clone()
        for name, weight in trainer.model.named_parameters()
        if weight.grad is not None
    }


SILENT = {
    "none": [1.0, -1.0, 0.5, -0.5] * 3,
    "the group without image": [0.0] * 4 + [1.0, -0.7, -0.3, 0.6, 0.2, 1.1, -1.0, -0.3],
    "the groups with images": [1.0, -0.7, -0.3, 0.6] + [0.0] * 8,
    "most": [0.0] * 7 + [1.2] + [0.0] * 4,
    "scattered": [0.0, 0.5, -0.5, 0.0, 1.0, 0.0, 0.0, -1.0, 0.0, 0.0, 2.0, -2.0],
}


@pytest.mark.parametrize("silent", SILENT)
@pytest.mark.parametrize("loss", ["grpo", "dapo", "dr_grpo", "gspo"])
def test_loss_and_gradients_are_those_of_the_whole_micro_batch(trainer, batch, loss, silent):
    trainer.loss_type = "grpo" if loss == "gspo" else loss
    trainer.importance_sampling_level = "sequence" if loss == "gspo" else "token"
    inputs = {**batch, "advantages": torch.tensor(SILENT[silent])}
    ours, gradients = loss_and_gradients(type(trainer)._compute_loss, trainer, inputs)
    whole, expected = loss_and_gradients(GRPOTrainer._compute_loss, trainer, inputs)
    torch.testing.assert_close(ours, whole, atol=1e-6, rtol=1e-5)
    for name, gradient in expected.items():
        got = gradients.get(name, torch.zeros_like(gradient))
        torch.testing.assert_close(
            got, gradient, atol=1e-5 * max(1.0, float(gradient.abs().max())), rtol=1e-3
        )


def test_silent_rollouts_cost_no_forward_pass(trainer, batch):
    trainer.loss_type, trainer.importance_sampling_level = "grpo", "token"
    rows = []
    hook = trainer.model.register_forward_pre_hook(
        lambda module, args, kwargs: rows.append(len(kwargs["input_ids"])), with_kwargs=True
    )
    trainer._compute_loss(
        trainer.model, {**batch, "advantages": torch.tensor(SILENT["the groups with images"])}
    )
    hook.remove()
    assert rows == [4]


def test_a_micro_batch_that_is_all_silent_moves_nothing(trainer, batch):
    trainer.loss_type, trainer.importance_sampling_level = "grpo", "token"
    _, gradients = loss_and_gradients(
        type(trainer)._compute_loss, trainer, {**batch, "advantages": torch.zeros(12)}
    )
    assert all(not gradient.any() for gradient in gradients.values())


def test_a_kl_term_keeps_every_rollout(trainer, batch):
    rows = []
    hook = trainer.model.register_forward_pre_hook(
        lambda module, args, kwargs: rows.append(len(kwargs["input_ids"])), with_kwargs=True
    )
    trainer.beta = 0.1
    reference = batch["old_per_token_logps"] - 0.1
    trainer._compute_loss(
        trainer.model, {**batch, "ref_per_token_logps": reference, "advantages": torch.zeros(12)}
    )
    trainer.beta = 0.0
    hook.remove()
    assert rows == [12]
