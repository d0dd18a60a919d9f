"""The trainer's end of the group over which weights travel: here, a folder that both ends know."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

FOLDER = "VASARI_TEST_WEIGHTS_FOLDER"
"""Environment variable with the folder in which tensors are handed over, in place of NCCL."""


class Endpoint:
    """What vLLM's `PyNcclCommunicator` is to TRL: a thing to broadcast with and to close."""

    def __init__(self, init_info: dict[str, Any]) -> None:
        needed = {"master_address", "master_port", "rank_offset", "world_size", "packed"}
        if init_info.keys() != needed:
            raise ValueError(f"expected {sorted(needed)}, got {sorted(init_info)}")
        self.folder = Path(os.environ[FOLDER])
        self.num_sent = 0
        self.group = SimpleNamespace(store=object(), socket=object())


def trainer_init(init_info: dict[str, Any]) -> Endpoint:
    return Endpoint(init_info)
