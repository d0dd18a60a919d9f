"""Runs `vasari` with DeepSpeed on CPU processes: `torchrun ... deepspeed_on_cpu.py sft RECIPE`.

accelerate opens DeepSpeed's processes on accelerators only; on a CPU it goes on with one process
each and says nothing. Here it is told that the backend is gloo. Nothing of Vasari is changed.
"""

from __future__ import annotations

import os
import runpy
from typing import Any

from accelerate.state import PartialState
from accelerate.utils import DistributedType

_PREPARE = PartialState._prepare_backend


def _with_gloo(self: Any, cpu: bool = False, *rest: Any, **named: Any) -> tuple[Any, Any]:
    backend, kind = _PREPARE(self, cpu, *rest, **named)
    if backend is None and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        return "gloo", DistributedType.MULTI_CPU
    return backend, kind


if __name__ == "__main__":
    PartialState._prepare_backend = _with_gloo
    runpy.run_module("vasari", run_name="__main__")
