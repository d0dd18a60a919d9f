"""TRL's losses on a tiny model are our oracles', so that neither can change unnoticed."""

import dataclasses

import numpy as np
import pytest
import torch
from trl import GRPOTrainer

from vasari.score import LOSSES, LossSettings, policy_loss

CLIP = {"clip_low": 0.1, "clip_high": 0.15}
CASES = {
    "grpo": ({"loss_type": "grpo"}, LossSettings(**CLIP)),
    "grpo with KL": (
        {"loss_type": "grpo", "beta": 0.05},
        LossSettings(**CLIP, kl_coefficient=0.05),
    ),
    "dapo": ({"loss_type": "dapo"}, dataclasses.replace(LOSSES["dapo"], **CLIP)),
    "bnpo": ({"loss_type": "bnpo"}, LossSettings(**CLIP, reduction="token_mean")),
    "dr_grpo": (
        {"loss_type": "dr_grpo"},
        dataclasses.replace(LOSSES["dr_grpo"], **CLIP, max_tokens=12),
    ),
    "gspo": (
        {"loss_type": "grpo", "importance_sampling_level": "sequence"},
        LossSettings(**CLIP, ratio="sequence"),
    ),
    "gspo with KL": (
        {"loss_type": "grpo", "importance_sampling_level": "sequence", "beta": 0.05},
        LossSettings(**CLIP, ratio="sequence", kl_coefficient=0.05),
    ),
}


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
    images = {
        key: batch.get(key)
        for key in ("pixel_values", "image_grid_thw", "num_images", "mm_token_type_ids")
    }
    width = batch["completion_ids"].shape[1]
    return trainer._get_per_token_logps_and_entropies(trainer.model, ids, mask, width, **images)[0]


def unpadded(table, mask):
    return [row[keep].double().numpy() for row, keep in zip(table, mask.bool(), strict=True)]


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_trls_loss_is_the_oracles(name, trainer, batch, monkeypatch):
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
    rows = {key: unpadded(batch[f"{key}_per_token_logps"], mask) for key in ("old", "ref")}
    new = unpadded(log_probabilities(trainer, batch), mask)
    ours = policy_loss(
        new, rows["old"], batch["advantages"].numpy(), settings, reference_logprobs=rows["ref"]
    )
    assert len({len(row) for row in new}) > 1
    assert 0 < ours.clipped_share < 1
    assert np.isclose(ours.loss, theirs, rtol=1e-4, atol=1e-6), (ours.loss, theirs)
