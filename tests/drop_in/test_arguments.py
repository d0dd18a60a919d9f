"""What the arguments of the drop-in trainer may be, and what is refused in one line."""

from __future__ import annotations

from typing import Any

import pytest
from datasets import Dataset, IterableDataset
from trl import GRPOConfig

from vasari.core.errors import ConfigError
from vasari.sample import MixedGate, UniformSampler, VarianceAwareSettings
from vasari.trl import LoopOptions, VarianceAwareGRPOTrainer


@pytest.fixture
def made(text_folder, small, tmp_path):
    """A trainer of ours that is not trained."""

    def make(pool: Any = None, **options: Any) -> Any:
        config = small.config(tmp_path / "made", **options.pop("config", {}))
        pool = Dataset.from_list(small.text_rows()) if pool is None else pool
        return VarianceAwareGRPOTrainer(str(text_folder), small.even_sum, config, pool, **options)

    return make


@pytest.mark.parametrize(
    ("sampler", "kind"),
    [
        ("progress", "progress"),
        ({"name": "vas", "refresh": "online"}, "vas"),
        (VarianceAwareSettings(refresh="online", mix_ratio=0.25), "vas"),
        (UniformSampler(num_prompts=12, seed=4), "uniform"),
    ],
    ids=["name", "mapping", "settings", "object"],
)
def test_a_sampler_is_a_name_settings_or_an_object(made, sampler, kind):
    trainer = made(sampler=sampler)
    assert trainer.prompt_sampler.name == kind
    if kind == "vas":
        assert trainer.prompt_sampler.settings.refresh == "online"


def test_a_gate_is_a_name_settings_or_an_object(made):
    assert [
        made(gate=gate).loop.run.gate.name
        for gate in ("mixed", {"name": "two_stage", "num_rollouts": 4, "num_screening": 2})
    ] == [
        "mixed",
        "two_stage",
    ]
    gate = MixedGate()
    assert made(gate=gate).loop.run.gate is gate


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"sampler": "best"},
            "sampler must be one of uniform, weighted_passes, vas, .*; got 'best'",
        ),
        (
            {"sampler": UniformSampler(num_prompts=5, seed=0)},
            "the sampler is over 5 prompts, and the pool has 12",
        ),
        ({"sampler": {"name": "vas", "mix": 1}}, "sampler 'vas' has no setting 'mix'"),
        ({"sampler": {"name": "vas", "features": 3}}, "features must be PoolFeatures.*got 3"),
        (
            {"sampler": 3},
            "sampler must be a name, a mapping with 'name' and settings, or an object, got 3",
        ),
        ({"gate": "dapo"}, "gate must be one of all, mixed, two_stage.*got 'dapo'"),
        (
            {"gate": {"name": "two_stage", "num_rollouts": 8}},
            "groups of 8 rollouts and this training's have 4",
        ),
        (
            {"verdict_from": "accuracy"},
            (
                "verdict_from must be one of the reward functions even_sum, or a function; got"
                " 'accuracy'"
            ),
        ),
        ({"verdict_from": "even_sum", "verify": lambda row, text: None}, "not both"),
        (
            {"pool": Dataset.from_list([{"prompt": "a"}] * 2)},
            "the pool has 2 prompts and a batch draws 3",
        ),
        (
            {"pool": Dataset.from_list([])},
            "train_dataset must be a datasets.Dataset with at least one row",
        ),
        (
            {"pool": IterableDataset.from_generator(lambda: iter([{"prompt": "a"}]))},
            "train_dataset is a stream",
        ),
        ({"prompt_ids": ["a"] * 12}, "prompt ids must be unique, 'a' stands twice"),
        (
            {"environment_factory": object, "sampler": "vas"},
            "no prompt can be rolled out outside a batch",
        ),
        (
            {"options": LoopOptions(drop_zero_advantage=True), "config": {"loss_type": "bnpo"}},
            "loss_type is 'bnpo'",
        ),
        (
            {"options": LoopOptions(drop_zero_advantage=True), "config": {"entropy_coef": 0.1}},
            "an entropy bonus",
        ),
    ],
    ids=lambda value: str(next(iter(value))) if isinstance(value, dict) else "",
)
def test_what_does_not_fit_is_one_line(made, options, message):
    with pytest.raises(ValueError, match=message):
        made(**options)


def test_the_pool_is_known_by_its_ids_or_by_its_prompts(made, small):
    rows = small.text_rows()
    for renamed in (
        rows,
        [{"prompt": row["prompt"]} for row in rows],
        [{**row, "id": "same"} for row in rows],
    ):
        one, other = (
            made(pool=Dataset.from_list(list(renamed)), sampler="uniform") for _ in range(2)
        )
        assert (
            one.prompt_sampler.state_dict()["pool"]["fingerprint"]
            == other.prompt_sampler.state_dict()["pool"]["fingerprint"]
        )
        shorter = made(pool=Dataset.from_list(list(renamed[1:])), sampler="uniform")
        with pytest.raises(Exception, match="another pool"):
            shorter.prompt_sampler.load_state_dict(one.prompt_sampler.state_dict())


def test_equal_prompts_have_ids_of_their_own(made):
    trainer = made(pool=Dataset.from_list([{"prompt": "same"}] * 6), sampler="uniform")
    assert trainer.prompt_sampler.num_prompts == 6


def test_the_defaults_of_grpo_config_serve_when_none_is_given(
    text_folder, small, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="the pool has 1 prompts"):
        VarianceAwareGRPOTrainer(
            str(text_folder),
            small.even_sum,
            GRPOConfig(
                "here", use_cpu=True, bf16=False, report_to=[], per_device_train_batch_size=16
            ),
            Dataset.from_list(small.text_rows(1)),
        )
