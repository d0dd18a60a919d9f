"""TRL's losses on a tiny model are those that their formulas give by hand."""

import math

import numpy as np
import pytest
import torch
from trl import GRPOTrainer

CLIP = {"clip_low": 0.1, "clip_high": 0.15}
SEQUENCE = {"importance_sampling_level": "sequence"}
# What is set of TRL's trainer, and what of `loss_by_hand`.
CASES = {
    "grpo": ({"loss_type": "grpo"}, {}),
    "grpo with KL": ({"loss_type": "grpo", "beta": 0.05}, {"kl": 0.05}),
    "dapo": ({"loss_type": "dapo"}, {"reduction": "token_mean"}),
    "bnpo": ({"loss_type": "bnpo"}, {"reduction": "token_mean"}),
    "dr_grpo": ({"loss_type": "dr_grpo"}, {"reduction": "constant_length", "max_tokens": 12}),
    "gspo": ({"loss_type": "grpo"} | SEQUENCE, {"ratio": "sequence"}),
    "gspo with KL": (
        {"loss_type": "grpo", "beta": 0.05} | SEQUENCE,
        {"ratio": "sequence", "kl": 0.05},
    ),
}


def loss_by_hand(
    new,
    old,
    advantages,
    *,
    reference=None,
    ratio="token",
    reduction="sequence_mean",
    clip_low=0.2,
    clip_high=0.2,
    kl=0.0,
    max_tokens=None,
):
    """The clipped loss of a batch, and the share of its tokens that are clipped.

    A token's term is `-min(w A, clip(w, 1 - low, 1 + high) A) + kl k3`, with w `exp(new - old)` of
    the token, or for sequences `exp(mean(new - old))` of its rollout (arXiv:2507.18071), and
    `k3 = exp(ref - new) - (ref - new) - 1`. `new`, `old` and `reference` are [rollouts] of [tokens],
    log-probabilities without padding.
    """
    loss, num_clipped, num_tokens = 0.0, 0, sum(map(len, new))
    for row, (now, before, advantage) in enumerate(zip(new, old, advantages, strict=True)):
        logs = np.asarray(now) - np.asarray(before)
        weight = np.exp(np.full(len(logs), logs.mean()) if ratio == "sequence" else logs)
        clipped = np.clip(weight, 1 - clip_low, 1 + clip_high)
        terms = -np.minimum(weight * advantage, clipped * advantage)
        num_clipped += (clipped * advantage < weight * advantage).sum()
        if kl:
            apart = np.asarray(reference[row]) - np.asarray(now)
            terms = terms + kl * (np.expm1(apart) - apart)
        divisor = {
            "sequence_mean": len(terms) * len(new),  # arXiv:2402.03300
            "token_mean": num_tokens,  # arXiv:2503.14476
            "constant_length": len(new) * (max_tokens or 0),  # arXiv:2503.20783
        }[reduction]
        loss += terms.sum() / divisor
    return loss, num_clipped / num_tokens


# Ratios 1.5 and 0.5 in the first rollout (advantage 2), 0.7 in the second (advantage -1).
OLD = [np.array([-1.0, -2.0]), np.array([-0.5])]
NEW = [OLD[0] + np.log([1.5, 0.5]), OLD[1] + np.log([0.7])]
# Under the reference each token is 2, 1 and 1/2 times as likely: k3 = 2 - ln 2 - 1, 0, 1/2 + ln 2 -
# 1.
REFERENCE = [NEW[0] + np.log([2.0, 1.0]), NEW[1] + np.log([0.5])]
K3 = [1 - math.log(2), 0.0, math.log(2) - 0.5]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        # With clip 0.2: min(1.5 * 2, 1.2 * 2) = 2.4, min(0.5 * 2, 0.8 * 2) = 1, min(-0.7, -0.8) =
        # -0.8. The first token is clipped above, the third below.
        (
            {"kl": 0.01, "reference": REFERENCE},
            (-((2.4 + 1.0) / 2 - 0.8) / 2 + 0.01 * ((K3[0] + K3[1]) / 2 + K3[2]) / 2, 2 / 3),
        ),
        # Clipped above at 1.28: 2.56; three tokens.
        ({"reduction": "token_mean", "clip_high": 0.28}, (-(2.56 + 1.0 - 0.8) / 3, 2 / 3)),
        # Two rollouts of at most ten tokens.
        (
            {"reduction": "constant_length", "max_tokens": 10},
            (-(2.4 + 1.0 - 0.8) / 20, 2 / 3),
        ),
        # Ratios sqrt(0.75) = 0.866 and 0.7: the first is not clipped for an advantage above 0, the
        # second is, at 0.9997.
        (
            {"ratio": "sequence", "clip_low": 3e-4, "clip_high": 4e-4},
            (-(math.sqrt(0.75) * 2 - 0.9997) / 2, 1 / 3),
        ),
    ],
)
def test_two_rollouts_worked_by_hand(settings, expected):
    assert loss_by_hand(NEW, OLD, [2.0, -1.0], **settings) == pytest.approx(expected, rel=1e-12)


@pytest.fixture(scope="module")
def trainer(make_trainer, digit_prompts, tmp_path_factory):
    folder = tmp_path_factory.mktemp("losses")
    return make_trainer(
        digit_prompts[:3], folder, micro_batch=12, updates_per_batch=1, trl={"temperature": 1.2}
    )


@pytest.fixture(scope="module")
def batch(trainer, first_batch):
    """Rollouts of several lengths, log-probabilities of two other policies, and weights that were
    moved since."""
    torch.manual_seed(5)
    batch = dict(first_batch(trainer))
    batch["pixel_values"] = batch["images"]  # where TRL's own method looks for them
    mask = batch["completion_mask"]
    lengths = torch.randint(1, mask.shape[1] + 1, (len(mask),))
    batch["completion_mask"] = mask * (torch.arange(mask.shape[1]) < lengths[:, None])
    batch["num_items_in_batch"] = batch["completion_mask"].sum()
    batch["advantages"] = torch.randn(len(mask))
    now = log_probabilities(trainer, batch)
    batch["old_per_token_logps"] = now - 0.2 * torch.randn_like(now)
    batch["ref_per_token_logps"] = now - 0.5 * torch.randn_like(now)
    return batch


@torch.no_grad()
def log_probabilities(trainer, batch):
    ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], 1)
    mask = torch.cat([batch["prompt_mask"], batch["completion_mask"]], 1)
    width = batch["completion_ids"].shape[1]
    return trainer._get_per_token_logps_and_entropies(
        trainer.model, ids, mask, width, pixel_values=batch["images"]
    )[0]


def unpadded(table, mask):
    return [row[keep].double().numpy() for row, keep in zip(table, mask.bool(), strict=True)]


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_trls_loss_is_the_one_by_hand(name, trainer, batch, monkeypatch):
    changes, settings = CASES[name]
    for key, value in (
        {
            "beta": 0.0,
            "importance_sampling_level": "token",
            "epsilon_low": 0.1,
            "epsilon_high": 0.15,
        }
        | changes
    ).items():
        monkeypatch.setattr(trainer, key, value)
    theirs = GRPOTrainer._compute_loss(trainer, trainer.model, batch).item()
    mask = batch["completion_mask"]
    old, reference = (unpadded(batch[f"{key}_per_token_logps"], mask) for key in ("old", "ref"))
    new = unpadded(log_probabilities(trainer, batch), mask)
    ours, clipped_share = loss_by_hand(
        new, old, batch["advantages"].numpy(), reference=reference, **CLIP, **settings
    )
    assert len({len(row) for row in new}) > 1
    assert 0 < clipped_share < 1
    assert np.isclose(ours, theirs, rtol=1e-4, atol=1e-6), (ours, theirs)
