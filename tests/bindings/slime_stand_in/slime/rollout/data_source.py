"""The data source that slime has of its own: prompts of a file, and groups that were given back."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from slime.utils.types import Sample


class RolloutDataSourceWithBuffer:
    """Prompts of a file, and a buffer."""

    def __init__(self, args: Any) -> None:
        self.args = args
        rows = map(json.loads, Path(args.prompt_data).read_text().splitlines())
        samples = [
            Sample(prompt=row[args.input_key], label=row[args.label_key], metadata=row["metadata"])
            for row in rows
        ]
        self.dataset = SimpleNamespace(origin_samples=samples)
        self.buffer: list[list[Sample]] = []
        self.buffer_filter = first

    def add_samples(self, samples: list[list[Sample]]) -> None:
        """Put groups into the buffer."""
        assert all(len(group) == self.args.n_samples_per_prompt for group in samples)
        self.buffer += samples


def first(args: Any, rollout_id: Any, buffer: list[Any], num_samples: int) -> list[Any]:
    """The first groups of the buffer, taken out of it."""
    taken, buffer[:] = buffer[:num_samples], buffer[num_samples:]
    return taken
