"""Runs a script with DeepSpeed or FSDP on CPU processes: `torchrun spread_on_cpu.py SCRIPT ...`.

accelerate opens DeepSpeed's processes on accelerators only, and takes plain data parallelism for
FSDP on a CPU; it says nothing of either. Here it is told that the backend is gloo, and that FSDP is
meant where it was asked for. Nothing of Vasari is changed.
"""

from __future__ import annotations

import os
import runpy
import sys
from typing import Any

from accelerate.state import AcceleratorState, PartialState
from accelerate.utils import DistributedType

_PREPARE, _INIT = PartialState._prepare_backend, AcceleratorState.__init__


def _with_gloo(self: Any, cpu: bool = False, *rest: Any, **named: Any) -> tuple[Any, Any]:
    backend, kind = _PREPARE(self, cpu, *rest, **named)
    if backend is None and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        return "gloo", DistributedType.MULTI_CPU
    return backend, kind


def _with_fsdp(self: Any, *rest: Any, fsdp_plugin: Any = None, **named: Any) -> None:
    _INIT(self, *rest, fsdp_plugin=fsdp_plugin, **named)
    if fsdp_plugin is not None and self.distributed_type == DistributedType.MULTI_CPU:
        # As accelerate does it for accelerators.
        self.distributed_type = DistributedType.FSDP
        self.fsdp_plugin = fsdp_plugin
        PartialState._shared_state["distributed_type"] = self.distributed_type


if __name__ == "__main__":
    PartialState._prepare_backend = _with_gloo
    AcceleratorState.__init__ = _with_fsdp
    sys.argv = sys.argv[1:]
    runpy.run_path(sys.argv[0], run_name="__main__")
