"""Rollouts of like length stand in one micro-batch, and an update learns what it learnt before."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vasari.train.micro_batches import sorted_by_length, weight_means


def micro_batches(rows, size):
    """Micro-batches of `size` rollouts (length, advantage); rollout r has the token r."""
    whole = {
        "completion_ids": torch.arange(len(rows))[:, None].repeat(1, 9),
        "completion_mask": torch.tensor([[1] * n + [0] * (9 - n) for n, _ in rows]),
        "advantages": torch.tensor([advantage for _, advantage in rows]),
        "images": [{"pixel_values": torch.tensor([row])} for row in range(len(rows))],
        "num_items_in_batch": torch.tensor(7),
        "ref_per_token_logps": None,
    }
    return [
        {
            name: value[start : start + size] if name not in KEPT else value
            for name, value in whole.items()
        }
        for start in range(0, len(rows), size)
    ]


KEPT = ("num_items_in_batch", "ref_per_token_logps")


@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.booleans(), st.data())
def test_each_update_keeps_its_rollouts_and_each_rollout_its_images(
    size, per_update, updates, silent_last, data
):
    number = size * per_update * updates
    rows = data.draw(
        st.lists(
            st.tuples(st.integers(1, 9), st.sampled_from([0.0, 1.0])),
            min_size=number,
            max_size=number,
        )
    )
    found = sorted_by_length(
        micro_batches(rows, size), per_update=per_update, silent_last=silent_last
    )
    assert [len(part["advantages"]) for part in found] == [size] * (per_update * updates)
    for update in range(updates):
        parts = found[update * per_update : (update + 1) * per_update]
        seen = [row for part in parts for row in part["completion_ids"][:, 0].tolist()]
        per = size * per_update
        assert sorted(seen) == list(range(update * per, (update + 1) * per))
        assert seen == [int(own["pixel_values"]) for part in parts for own in part["images"]]
        keys = [(silent_last and rows[row][1] == 0, -rows[row][0]) for row in seen]
        assert keys == sorted(keys)
    for part in found:
        rows_of = part["completion_ids"][:, 0].tolist()
        assert part["completion_mask"].sum(1).tolist() == [rows[row][0] for row in rows_of]
        assert part["num_items_in_batch"] == 7
        assert part["ref_per_token_logps"] is None


@pytest.mark.slow
@pytest.mark.parametrize("beta", [0.0, 0.1], ids=["no KL", "KL"])
@pytest.mark.parametrize(
    "loss", ["grpo", *(pytest.param(one, marks=pytest.mark.heavy) for one in ("dapo", "dr_grpo"))]
)
def test_sorting_changes_no_weight_and_spares_columns(
    loss, beta, make_trainer, digit_prompts, tmp_path, monkeypatch
):
    weights, columns = [], []
    for sorts in (True, False):
        trainer = make_trainer(
            digit_prompts[:3],
            tmp_path / str(sorts),
            micro_batch=2,
            updates_per_batch=2,
            steps=4,
            save_every=2,
            # An update is as large as its gradient, so that a difference shows.
            trl={"loss_type": loss, "beta": beta, "optim": "sgd", "learning_rate": 0.1},
        )
        assert trainer._options.sort_by_length
        if not sorts:
            monkeypatch.setattr(
                "vasari.train.trl_trainer.sorted_by_length", lambda batches, **_: batches
            )
        seen = []
        trainer.model.register_forward_pre_hook(
            lambda _, __, given, seen=seen: (
                seen.append(given["input_ids"].numel()) if torch.is_grad_enabled() else None
            ),
            with_kwargs=True,
        )
        before = torch.cat([own.detach().flatten() for own in trainer.model.parameters()])
        trainer.train()
        after = torch.cat([own.detach().flatten() for own in trainer.model.parameters()])
        weights.append(after)
        columns.append(sum(seen))
    moved = float((after - before).abs().max())
    assert moved > 1e-3
    assert float((weights[0] - weights[1]).abs().max()) < 1e-4 * moved
    assert columns[0] < columns[1]


def test_means_are_weighted_by_the_tokens_of_all_processes():
    parts = micro_batches([(9, 1.0), (1, 1.0), (4, 1.0), (2, 0.0)], 1)
    # Another process has three tokens and one rollout in each micro-batch.
    found = sorted_by_length(
        parts, per_update=2, silent_last=True, total=lambda counts: counts + torch.tensor([3, 1])
    )
    tokens, rollouts = zip(*(part["shares"] for part in found), strict=True)
    assert tokens == pytest.approx([12 / 8, 4 / 8, 7 / 5, 3 / 5])
    assert rollouts == pytest.approx([1, 1, 2 / 1.5, 1 / 1.5])
    metrics = {"entropy": [5.0, 2.0], "kl": [4.0]}
    weight_means(metrics, {"entropy": 1, "kl": 0, "absent": 0}, found[1], by_rollout=False)
    assert metrics == {"entropy": [5.0, 1.0], "kl": [2.0]}


def test_tokens_of_tools_are_not_counted():
    (part,) = micro_batches([(9, 1.0)], 1)
    part["tool_mask"] = torch.tensor([[1] * 3 + [0] * 6])
    other = micro_batches([(9, 1.0)], 1)[0] | {"tool_mask": torch.ones(1, 9, dtype=torch.long)}
    found = sorted_by_length([part, other], per_update=2, silent_last=False)
    assert [own["shares"][0] for own in found] == [0.5, 1.5]


@pytest.mark.slow
@pytest.mark.parametrize("level", ["token", "sequence"])
def test_means_are_those_of_the_whole_update(level, make_trainer, digit_prompts, tmp_path):
    logged = []
    for size in (2, 6):
        trainer = make_trainer(
            digit_prompts[:3],
            tmp_path / str(size),
            micro_batch=size,
            updates_per_batch=2,
            steps=4,
            save_every=2,
            trl={
                "loss_type": "grpo",
                "importance_sampling_level": level,
                "optim": "sgd",
                "learning_rate": 0.3,
                # So narrow that ratios leave it.
                "epsilon": 1e-3,
            },
        )
        trainer.train()
        logged.append([row for row in trainer.state.log_history if "entropy" in row])
    small, whole = logged
    assert len(small) == len(whole) == 4
    for name in ("entropy", "clip_ratio/region_mean", "clip_ratio/low_mean"):
        found, expected = ([row[name] for row in rows] for rows in (small, whole))
        assert any(expected)
        assert found == pytest.approx(expected, rel=1e-3, abs=1e-6)
