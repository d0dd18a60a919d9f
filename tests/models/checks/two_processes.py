"""Column "two processes": the weights of two processes are those of one.

Run as a script under torchrun, it trains; the check compares what it saved with a training here.
Of a family whose sums float32 rounds too much, both are in float64.
Weights move by plain gradient descent, whose steps shrink and grow with the gradient: AdamW's would
hide a batch of the wrong size.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any
from unittest import mock

from stand_ins import SYSTEM

from checks.double import EXACT, doubled, in_double
from checks.grpo import grpo_run
from checks.lab import Lab
from checks.plain import Plain
from checks.resume import assert_same_weights
from checks.sft import run_sft
from vasari.train.trl_forward import ImagesByRollout

_DESCENT = {"optim": "sgd", "learning_rate": 0.1, "max_grad_norm": 1e3}


def check(lab: Lab) -> None:
    two, one = lab.fresh("two"), lab.fresh("one")
    _on_two_processes(lab, two)
    _train(lab, one)
    by = EXACT if lab.rounds_by_padding else 1e-5
    for saved in ("sft/model", "grpo/last"):
        assert_same_weights(two / saved, one / saved, by=by)


def _train(lab: Lab, out: Path) -> None:
    with in_double() if lab.rounds_by_padding else nullcontext():
        trainings(doubled(lab) if lab.rounds_by_padding else lab, out)


def trainings(lab: Lab, out: Path) -> None:
    """Train supervised, and by GRPO on recorded rollouts, from the family's published weights."""
    run_sft(lab, out / "sft", epochs=1, trl=_DESCENT)
    with recorded_rollouts(lab):
        grpo_run(
            lab,
            out / "grpo",
            sampler="uniform",
            gate={"name": "all"},
            # Which rollouts of a batch train in which of its updates depends on the processes.
            updates_per_batch=1,
            steps=2,
            micro_batch=2,
            trl={"beta": 0.05, **_DESCENT},
        ).train([])


@contextmanager
def recorded_rollouts(lab: Lab) -> Iterator[None]:
    """Let each prompt have the same rollouts whoever generates: words of its tokens' digest."""
    words = [
        token
        for token in range(len(lab.plain.tokenizer))
        if token not in lab.plain.tokenizer.all_special_ids and token not in lab.plain.never_sampled
    ]

    def answer(prompt_ids: list[int], number: int) -> list[int]:
        digest = hashlib.blake2b(f"{prompt_ids} {number}".encode(), digest_size=5).digest()
        return [*(words[byte * 7 % len(words)] for byte in digest), lab.plain.stop]

    def generate(trainer: Any, prompt_ids: list[list[int]], *_: Any, **__: Any) -> Any:
        seen: dict[tuple[int, ...], int] = {}
        answers = []
        for row in prompt_ids:
            number = seen.get(tuple(row), 0)
            seen[tuple(row)] = number + 1
            answers.append(answer(list(row), number))
        return answers, None

    with mock.patch.object(ImagesByRollout, "_generate_single_turn", generate):
        yield


def _on_two_processes(lab: Lab, out: Path) -> None:
    here = Path(__file__)
    paths = [str(here.parent.parent), os.environ.get("PYTHONPATH", "")]
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    done = subprocess.run(
        [sys.executable, *command, str(here), lab.name, str(lab.folder), str(out)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ
        | {
            "PYTHONPATH": os.pathsep.join(path for path in paths if path),
            "OMP_NUM_THREADS": "1",
            "CUDA_VISIBLE_DEVICES": "",
        },
    )
    assert done.returncode == 0, (
        f"torchrun ended with {done.returncode}: {_last_error(done.stderr)}"
    )


def _last_error(stderr: str) -> str:
    lines = [
        line for line in stderr.splitlines() if "Error" in line and "torch.distributed" not in line
    ]
    return lines[-1] if lines else stderr[-500:]


def _main(name: str, folder: Path, out: Path) -> None:
    from vasari.train.processes import start_processes

    lab = Lab(name, out)
    lab.__dict__["folder"] = folder
    lab.__dict__["plain"] = Plain(folder, system=SYSTEM)
    with start_processes():
        _train(lab, out)


if __name__ == "__main__":
    _main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
