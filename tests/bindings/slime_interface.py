"""What vasari uses of slime's interface: `python slime_interface.py SOURCE` records a checkout's.

`slime.json` holds that of the commit which docs/slime.md names.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import json
import sys
from pathlib import Path
from typing import Any

import slime_training

RECORDED = Path(__file__).parent / "slime.json"

SIGNATURES = {
    "slime.rollout.data_source": (
        "RolloutDataSourceWithBuffer.__init__",
        "RolloutDataSourceWithBuffer.get_samples",
        "RolloutDataSourceWithBuffer.add_samples",
        "RolloutDataSourceWithBuffer.save",
        "RolloutDataSourceWithBuffer.load",
        "RolloutDataSourceWithBuffer.__len__",
    ),
    "slime.rollout.sglang_rollout": (
        "generate_rollout",
        "generate_and_rm_group",
        "GenerateState.__init__",
    ),
    "slime.rollout.base_types": ("call_rollout_fn",),
    "slime.utils.async_utils": ("run",),
    "slime.utils.types": ("Sample.to_dict", "Sample.from_dict", "Sample.get_reward_value"),
}


def found() -> dict[str, Any]:
    """The interface of the slime that can be imported; without what it does not have."""
    signatures = {}
    for module, names in SIGNATURES.items():
        for name in names:
            target: Any = importlib.import_module(module)
            for part in name.split("."):
                target = getattr(target, part, None)
            if callable(target):
                signatures[f"{module}.{name}"] = list(inspect.signature(target).parameters)
    sample = importlib.import_module("slime.utils.types").Sample
    output = importlib.import_module("slime.rollout.base_types").RolloutFnTrainOutput
    return {
        "signatures": signatures,
        "sample": [field.name for field in dataclasses.fields(sample)],
        "status": [status.value for status in sample.Status],
        "output": [field.name for field in dataclasses.fields(output)],
    }


if __name__ == "__main__":
    with slime_training.importable(sys.argv[1]):
        RECORDED.write_text(json.dumps({"commit": sys.argv[2], **found()}, indent=1) + "\n")
