"""A run that trained nobody: made-up answers, but verified, charged, drawn and written by the real
code."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from vasari.core.files import write_json
from vasari.core.ledger import Ledger
from vasari.data.prompt_file import write_prompts
from vasari.data.tasks.pool import PoolSettings, make_pool
from vasari.data.tasks.styles import HELD_OUT_STYLE
from vasari.evaluate.run import evaluate_policy
from vasari.evaluate.settings import EvaluateSettings
from vasari.records import GroupOutcome, Prompt, Rollout
from vasari.run.layout import RunDir
from vasari.sample import make_sampler
from vasari.score import format_ok
from vasari.train.group_file import write_groups
from vasari.verify import verify_answer

FAMILIES = ("bars", "clocks", "shapes", "tables")


class MadeUpPolicy:
    """Answers rightly with a chance that falls with a prompt's level; knows the right answer of a
    wrong label too."""

    def __init__(self, skill: float) -> None:
        self.skill = skill

    def chance(self, prompt) -> float:
        if prompt.metadata.get("imperfection") in ("guessable", "unsolvable"):
            return 0.5
        luck = (
            sum(prompt.id.encode()) % 17 / 4 - 2
        )  # some prompts of a level are harder than others
        return 1 / (1 + math.exp(2.2 * (int(prompt.difficulty) - 2) + luck - self.skill))

    def rollouts(
        self, prompt, num: int, rng: np.random.Generator, *, blind: bool = False
    ) -> list[Rollout]:
        right = prompt.metadata["final"]
        found = []
        for _ in range(num):
            answer = (
                right
                if rng.random() < (0.1 if blind else self.chance(prompt))
                else str(rng.integers(100, 999))
            )
            words = int(rng.integers(2, 9))
            text = f"<think>{' '.join((prompt.solution or '').split()[:words])}</think>\n<answer>\\boxed{{{answer}}}</answer>"
            found.append(
                Rollout(text=text, token_ids=rng.integers(5, 300, size=words + 12).astype(np.int32))
            )
        return found

    def generate(self, prompts, decoding, *, seed, tell=None) -> list[list[Rollout]]:
        rng = np.random.default_rng(seed)
        return [
            self.rollouts(p, decoding.num_rollouts, rng, blind=decoding.images != "shown")
            for p in prompts
        ]


def build_run(
    root: Path,
    *,
    num_pool: int = 48,
    num_test: int = 16,
    batches: int = 6,
    batch: int = 12,
    group: int = 4,
) -> Path:
    """A whole run folder; batches of prompts train two updates each, VAS refreshes every half of
    the run."""
    run = RunDir(root)
    run.prompts.mkdir(parents=True)
    pool = make_pool(
        PoolSettings(
            families=FAMILIES, num_prompts=num_pool, wrong_label_share=0.15, guessable_share=0.1
        ),
        split="train",
        seed=0,
        stream="train",
    )
    test = make_pool(
        PoolSettings(families=FAMILIES, num_prompts=num_test), split="test", seed=1, stream="test"
    )
    style = make_pool(
        PoolSettings(families=FAMILIES, num_prompts=8, styles=(HELD_OUT_STYLE,)),
        split="test",
        seed=2,
        stream="held_out",
    )
    for name, prompts in {"train": pool, "test": test, "test_held_out_style": style}.items():
        write_prompts(run.prompts / f"{name}.parquet", prompts)
    sampler = {
        "name": "vas",
        "settings": {"refresh_every": max(1, batches // 2), "num_refresh_rollouts": group},
    }
    write_json(
        run.settings,
        _settings(
            num_pool=num_pool,
            num_test=num_test,
            batches=batches,
            batch=batch,
            group=group,
            sampler=sampler,
        ),
    )
    _stages(run, batches)
    _cold_start(run)
    for arm, settings in (("uniform", {}), ("vas", sampler["settings"])):
        _train(run, arm, settings, pool, batches=batches, batch=batch, group=group)
    sets = {"test": test, "test_held_out_style": style}
    evaluation = EvaluateSettings(num_rollouts=4, pass_at=(1, 2, 4))
    for name, skill in {"base": -3.0, "cold_start": 0.0, "uniform": 1.2, "vas": 1.8}.items():
        evaluate_policy(
            MadeUpPolicy(skill), sets, evaluation, name=name, out=run.evaluation, reference=pool
        )
    return root


def _settings(*, num_pool, num_test, batches, batch, group, sampler) -> dict:
    recipe = {
        "name": "made-up run",
        "seed": 7,
        "prompts": {
            "tasks": {
                "families": list(FAMILIES),
                "num_train": num_pool,
                "num_test": num_test,
                "wrong_label_share": 0.15,
            }
        },
        "model": {"path": None, "new": {"hidden": 128, "layers": 4, "heads": 4}},
        "sft": {"target": "reasoning", "epochs": 5.0, "batch_prompts": 64, "learning_rate": 0.001},
        "sampler": sampler,
        "grpo": {
            "steps": 2 * batches,
            "prompts_per_batch": batch,
            "rollouts_per_prompt": group,
            "updates_per_batch": 2,
            "learning_rate": 1e-4,
            "kl_coefficient": 0.0,
            "temperature": 1.0,
            "loss": "grpo",
            "rewards": [
                {"name": "accuracy", "settings": {}, "weight": 1.0},
                {"name": "format", "settings": {}, "weight": 0.5},
            ],
            "gate": {"name": "all", "settings": {}},
        },
        "evaluate": {"num_rollouts": 4, "temperature": 1.0},
    }
    return {
        "schema": 1,
        "recipe": recipe,
        "versions": {"vasari": "0.1.0", "torch": "2.13.0"},
        "seed": 7,
        "started": "2026-01-02T03:04:05+00:00",
        "command": "vasari quickstart --out run",
        "machine": {"cpus": 2},
    }


def _stages(run: RunDir, batches: int) -> None:
    facts = {
        "tasks": {
            "seconds": 4.0,
            "peak_memory_mb": 300.0,
            "num_prompts": {"train": 48, "test": 16},
        },
        "sft": {
            "seconds": 200.5,
            "peak_memory_mb": 1500.0,
            "steps": 400,
            "validation_loss": 0.31,
            "train_loss": 0.28,
        },
        "rl-uniform": {
            "seconds": 100.0,
            "peak_memory_mb": 1900.0,
            "steps": 2 * batches,
            "best_step": 2 * batches,
            "best_validation": 0.6,
        },
        "rl-vas": {
            "seconds": 150.0,
            "peak_memory_mb": 2048.0,
            "steps": 2 * batches,
            "best_step": 2 * batches - 4,
            "best_validation": 0.7,
            "resumed": 1,
        },
        "evaluate": {"seconds": 45.0, "peak_memory_mb": 800.0},
    }
    for name, content in facts.items():
        write_json(run.stages / f"{name}.json", {"schema": 1, "stage": name, **content})


def _cold_start(run: RunDir) -> None:
    rows = []
    for step in range(10, 410, 10):
        rows.append(
            {
                "schema": 1,
                "step": step,
                "loss": 3 * math.exp(-step / 90) + 0.3,
                "learning_rate": 1e-3,
            }
        )
        if step % 50 == 0:
            rows.append({"schema": 1, "step": step, "eval_loss": 3 * math.exp(-step / 90) + 0.33})
    _write_lines(run.cold_start / "metrics.jsonl", rows)


def _train(
    run: RunDir, arm: str, settings: dict, pool, *, batches: int, batch: int, group: int
) -> None:
    rng = np.random.default_rng([3, len(arm)])
    log = MadeUpLog(run.groups(arm), pool)
    sampler = make_sampler(
        arm, num_prompts=len(pool), seed=5, prompt_ids=[p.id for p in pool], **settings
    )
    metrics, validation, snapshots = [], [], []
    for number in range(batches):
        policy = MadeUpPolicy((2.0 if arm == "vas" else 1.4) * number / batches)
        due = sampler.due(number)
        if len(due):
            groups = [(int(i), policy.rollouts(pool[i], group, rng)) for i in due]
            sampler.observe(
                log.keep(groups, batch=number, purpose="refresh", roles=["refresh"] * len(due))
            )
        if arm == "vas":
            snapshots.append((number, sampler.scores()))
        draw = sampler.draw(batch)
        groups = [(int(i), policy.rollouts(pool[i], group, rng)) for i in draw.indices]
        seen = log.keep(groups, batch=number, purpose="train", roles=draw.roles)
        sampler.observe(seen)
        rewards = np.array([found.rewards for found in seen])
        step = 2 * number + 2
        facts = {
            "loss": float(rng.normal(0, 0.02)),
            "grad_norm": float(0.6 + 0.3 * rng.random()),
            "clip_ratio/region_mean": float(0.02 + 0.02 * rng.random()),
            "reward": float(rewards.mean()),
            "entropy": 0.7 - 0.3 * number / batches,
            "completions/mean_length": 17.5,
            "zero_variance_share": float((np.ptp(rewards, axis=1) == 0).mean()),
            "unverifiable_share": 0.0,
            **log.ledger.metrics(),
        }
        metrics.append({"schema": 1, "step": step, **facts})
        if step % 4 == 0:
            mean = 0.4 + (0.35 if arm == "vas" else 0.25) * (1 - math.exp(-3 * number / batches))
            bounds = {"accuracy": mean, "low": mean - 0.05, "high": mean + 0.05, "n": 200}
            spent = {
                "rollouts": log.ledger.total_rollouts,
                "tokens": 1000 * number,
                "rollouts_validation": 200,
            }
            validation.append({"schema": 1, "step": step, "batch": number, **bounds, **spent})
    metrics.append({"schema": 1, "step": 2 * batches, "train_runtime": 12.5, "train_loss": 0.01})
    _write_lines(run.rl(arm) / "metrics.jsonl", metrics)
    _write_lines(run.rl(arm) / "validation.jsonl", validation)
    if snapshots:
        np.savez(
            run.rl(arm) / "scores.npz",
            batch=[b for b, _ in snapshots],
            vps=[s for _, s in snapshots],
        )


class MadeUpLog:
    """Verifies rollouts, charges them, and keeps their groups on disk: 1 for the answer, 0.5 for
    the format."""

    def __init__(self, folder: Path, pool: list[Prompt]) -> None:
        self.ledger = Ledger()
        self._folder, self._pool = folder, pool

    def keep(
        self, groups: list[tuple[int, list[Rollout]]], *, batch: int, purpose, roles
    ) -> list[GroupOutcome]:
        rows = [self._row(index, rollouts) for index, rollouts in groups]
        for row, role in zip(rows, roles, strict=True):
            row |= {"batch": batch, "step": 2 * batch, "purpose": purpose, "role": role}
            self.ledger.charge(purpose, rollouts=len(row["rewards"]), tokens=sum(row["num_tokens"]))
        write_groups(self._folder, batch, purpose, rows)
        return [
            GroupOutcome(
                index=row["prompt_index"],
                rewards=row["rewards"],
                verdicts=row["verdicts"],
                token_ids=[rollout.token_ids for rollout in rollouts],
                purpose=purpose,
                batch=batch,
            )
            for row, (_, rollouts) in zip(rows, groups, strict=True)
        ]

    def _row(self, index: int, rollouts: list[Rollout]) -> dict:
        prompt = self._pool[index]
        verdicts = [
            verify_answer(r.text, prompt.answer, choices=prompt.choices, kind=prompt.kind)
            for r in rollouts
        ]
        formats = [0.5 * format_ok(r.text) for r in rollouts]
        return {
            "prompt_index": index,
            "prompt_id": prompt.id,
            "rewards": [
                verdict.value + kept for verdict, kept in zip(verdicts, formats, strict=True)
            ],
            "reward_terms": {
                "accuracy": [verdict.value for verdict in verdicts],
                "format": formats,
            },
            "verdicts": [verdict.value for verdict in verdicts],
            "decided_by": [verdict.decided_by for verdict in verdicts],
            "extractions": [verdict.extraction for verdict in verdicts],
            "confidence": [math.nan] * len(rollouts),
            "num_tokens": [len(r.token_ids) for r in rollouts],
            "truncated": [r.truncated for r in rollouts],
            "score": math.nan,
            "texts": [r.text for r in rollouts],
        }


def _write_lines(path: Path, rows: list[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture(scope="session")
def old_run() -> Path:
    """A run that 0.1.0 wrote, in the repository; tests read it and leave it as it is."""
    return Path(__file__).parents[1] / "golden" / "run_0_1_0"


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with all its parts; tests read it and leave it as it is."""
    return build_run(tmp_path_factory.mktemp("run") / "made-up")
