"""Records small trainings as numbers: draws, groups, rewards, metrics; `test_recorded_runs.py`
trains them again and compares.

    python tests/flow/record_runs.py --out tests/flow/recorded --reason "why numbers moved"

Another version of the code is recorded with PYTHONPATH=ITS/src. What an older version called
otherwise is recorded under today's names.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RECIPE = HERE / "recorded" / "recipe.yaml"
SAMPLERS = ("uniform", "vas", "weighted_passes")
STEPS, DIE_AT = 8, 5

RENAMED = {
    "rewards/_accuracy_reward": "rewards/accuracy",
    "rewards/_format_reward": "rewards/format",
    "ledger/rollouts/probe": "ledger/rollouts/screen",
    "ledger/tokens/probe": "ledger/tokens/screen",
    "sampler/steps_since_seen": "sampler/batches_since_seen",
}
"""Metrics of 0.1.0 -> their names today."""

RENAMED_ROLES = {"probe": "revisit"}
"""Roles of 0.1.0 -> their names today."""

CLOCKED = ("time", "runtime", "per_second", "total_flos")
"""Endings of metrics that no two runs share."""

KEPT = (
    "batch",
    "step",
    "prompt_id",
    "purpose",
    "role",
    "rewards",
    "verdicts",
    "num_tokens",
    "decided_by",
    "score",
)
"""Columns of a group that are recorded; of its texts a digest."""


def train_cold_start(folder: Path) -> None:
    """Make the prompts and train the cold start in a run's folder."""
    _vasari(["sft", str(RECIPE), "--out", str(folder)])


def train(
    folder: Path,
    sampler: str,
    *,
    processes: int = 1,
    die_at: int | None = None,
    resume: bool = False,
    events: Path | None = None,
) -> None:
    """Train with a sampler from the cold start in a run's folder.

    Args:
        folder: The run; what is trained lies in `rl/SAMPLER`.
        sampler: Its name.
        processes: Under torchrun when above 1.
        die_at: Kill the process without a word after this step.
        resume: Go on from the last checkpoint.
        events: Where to write what the sampler was asked and told.
    """
    command = [
        "train",
        str(RECIPE),
        "--out",
        str(folder),
        "--sampler",
        sampler,
        *(["--resume"] if resume else []),
    ]
    _vasari(command, processes=processes, die_at=die_at, events=events)


def recording_of(folder: Path, sampler: str) -> dict[str, Any]:
    """What a training left in numbers, under today's names."""
    from vasari.train.group_file import read_groups

    arm = folder / "rl" / sampler
    groups = []
    for row in read_groups(arm / "groups").to_pylist():
        kept = {name: row[name] for name in KEPT} | {
            "role": RENAMED_ROLES.get(row["role"], row["role"])
        }
        terms = row.get("reward_terms") or [
            (name, row[f"{name}_rewards"]) for name in ("accuracy", "format")
        ]
        texts = hashlib.blake2b("\0".join(row["texts"]).encode(), digest_size=8).hexdigest()
        groups.append(
            _plain(
                kept
                | {
                    "terms": {name: list(values) for name, values in dict(terms).items()},
                    "texts": texts,
                }
            )
        )
    return {
        "groups": groups,
        "metrics": [_today(row) for row in _rows(arm / "metrics.jsonl")],
        "validation": _rows(arm / "validation.jsonl"),
    }


def fingerprint() -> str:
    """A digest of what this machine's arithmetic makes of a fixed model, image and text: equal
    digests, equal trainings.

    A vision tower, a backward pass and an optimizer's step are in it: a processor without AVX-512
    agrees with one that has it on a forward pass over text, and not on these.
    """
    import numpy as np
    import torch
    from PIL import Image

    from vasari.model import resolve_model
    from vasari.model.processor import load_processor
    from vasari.model.transformers_policy import load_model

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    folder = resolve_model("vasari:tiny-base")
    pixels = np.random.default_rng(0).integers(0, 256, size=(112, 112, 3), dtype=np.uint8)
    content = [
        {"type": "image", "image": Image.fromarray(pixels)},
        {"type": "text", "text": "How many red bars? 2+3=5 7-4=3"},
    ]
    inputs = load_processor(folder).apply_chat_template(
        [[{"role": "user", "content": content}]] * 8,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
    )
    model = load_model(folder, dtype="float32").eval()
    out = model(**inputs, labels=inputs["input_ids"])
    out.loss.backward()
    torch.optim.AdamW(model.parameters(), lr=1e-3).step()
    digest = hashlib.blake2b(out.logits.detach().numpy().tobytes(), digest_size=16)
    for weights in model.parameters():
        digest.update(b"" if weights.grad is None else weights.grad.numpy().tobytes())
        digest.update(weights.detach().numpy().tobytes())
    torch.set_num_threads(threads)
    return f"torch {torch.__version__}, {digest.hexdigest()}"


def read(path: Path) -> Any:
    """A recorded JSON file."""
    return json.loads(gzip.decompress(path.read_bytes()))


def main() -> None:
    """Record all trainings."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--reason", required=True)
    arguments = parser.parse_args()
    run = Path(arguments.out) / "run"
    train_cold_start(run)
    for processes in (1, 2):
        for sampler in SAMPLERS:
            events = Path(arguments.out) / f"events-{sampler}.jsonl"
            train(run, sampler, processes=processes, events=events if processes == 1 else None)
            _write(
                Path(arguments.out) / f"{sampler}-{processes}.json.gz", recording_of(run, sampler)
            )
            if processes == 1:
                _write(events.with_suffix(".json.gz"), _rows(events))
                events.unlink()
            for left in (run / "rl" / sampler, run / "stages" / f"rl-{sampler}.json"):
                subprocess.run(["rm", "-r", str(left)], check=True)
    subprocess.run(["rm", "-r", str(run)], check=True)
    (Path(arguments.out) / "fingerprint.txt").write_text(fingerprint() + "\n")
    with (Path(arguments.out) / "REASONS.md").open("a") as file:
        file.write(f"* {arguments.reason}\n")


def _vasari(
    arguments: list[str],
    *,
    processes: int = 1,
    die_at: int | None = None,
    events: Path | None = None,
) -> None:
    told = {"VASARI_DIE_AT": str(die_at or ""), "VASARI_EVENTS": str(events or "")}
    environment = os.environ | {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"} | told
    many = (
        ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
        if processes > 1
        else []
    )
    command = [sys.executable, *many, str(Path(__file__).resolve()), "--child", *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment, timeout=600, check=False
    )
    if die_at is None and done.returncode:
        raise RuntimeError(f"{' '.join(arguments)}: {done.stderr[-3000:]}")
    if die_at is not None and not done.returncode:
        raise RuntimeError("the training was to die, and ended")


def _child(arguments: list[str]) -> None:
    """The `vasari` command, watched, and killed where it was asked for."""
    die_at, events = os.environ["VASARI_DIE_AT"], os.environ["VASARI_EVENTS"]
    if die_at:
        from vasari.train.callbacks import TellProgress

        def on_step_end(self: Any, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step == int(die_at):
                os.kill(os.getpid(), signal.SIGKILL)

        TellProgress.on_step_end = on_step_end  # type: ignore[method-assign]
    if events:
        _watch(Path(events))
    from vasari.cli.main import main as command

    sys.argv = ["vasari", *arguments]
    command()


def _watch(path: Path) -> None:
    """Write down every call of the sampler's `due`, `observe` and `draw`."""
    from vasari.sample import make_sampler

    kinds = {type(make_sampler(name, num_prompts=4, seed=0)) for name in SAMPLERS}
    path.unlink(missing_ok=True)

    def note(event: dict[str, Any]) -> None:
        with path.open("a") as file:
            file.write(json.dumps(_plain(event)) + "\n")

    for kind in kinds:
        due, observe, draw = kind.due, kind.observe, kind.draw

        def noted_due(self: Any, batch: int, due: Any = due) -> Any:
            found = due(self, batch)
            note({"call": "due", "batch": batch, "indices": found.tolist()})
            return found

        def noted_observe(self: Any, groups: Any, observe: Any = observe) -> None:
            note({"call": "observe", "groups": [_group(group) for group in groups]})
            observe(self, groups)

        def noted_draw(self: Any, num_prompts: int, draw: Any = draw) -> Any:
            found = draw(self, num_prompts)
            roles = [RENAMED_ROLES.get(role, role) for role in found.roles]
            note(
                {
                    "call": "draw",
                    "num_prompts": num_prompts,
                    "indices": found.indices.tolist(),
                    "roles": roles,
                }
            )
            return found

        kind.due, kind.observe, kind.draw = noted_due, noted_observe, noted_draw


def _group(group: Any) -> dict[str, Any]:
    return {
        "index": group.index,
        "rewards": group.rewards.tolist(),
        "verdicts": group.verdicts.tolist(),
        "token_ids": [[int(token) for token in tokens] for tokens in group.token_ids],
        "confidence": None if group.confidence is None else group.confidence.tolist(),
        "answers": list(group.answers),
        "purpose": group.purpose,
        "batch": group.batch if hasattr(group, "batch") else group.step,
    }


def _today(row: dict[str, Any]) -> dict[str, Any]:
    named = {}
    for name, value in row.items():
        old = next((prefix for prefix in RENAMED if name.startswith(prefix)), None)
        today = name if old is None else RENAMED[old] + name.removeprefix(old)
        if not today.endswith(CLOCKED):
            named[today] = value
    return named


def _plain(value: Any) -> Any:
    """Values that JSON holds and that compare equal: nan as a word."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return "nan" if isinstance(value, float) and value != value else value  # noqa: PLR0124


def _rows(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def _write(path: Path, content: Any) -> None:
    # Without a time of writing in its header, the same content is the same file.
    path.write_bytes(gzip.compress(json.dumps(content).encode(), mtime=0))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        _child(sys.argv[2:])
    else:
        main()
