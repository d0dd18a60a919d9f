"""Run `transformers serve` for a model of a run where torchvision is not installed.

    pip install 'transformers[serving]'
    python examples/serve_with_transformers.py RUN/cold_start/model --port 8200

With torchvision, `transformers serve RUN/cold_start/model` alone does the same. Without it, the
processors of most families cannot be opened by `AutoProcessor`, since they have a video processor
too. Here the server opens processors as Vasari does, for images and text; everything else is the
stock server. All arguments are those of `transformers serve`.
"""

from __future__ import annotations

import sys
from typing import Any

from transformers import AutoProcessor
from transformers.cli.transformers import main as transformers

from vasari.model.processor import load_processor


def main() -> None:
    """Let `AutoProcessor` open processors as Vasari does, and run `transformers serve`."""

    def from_pretrained(path: str, **_: Any) -> Any:
        return load_processor(path)

    AutoProcessor.from_pretrained = from_pretrained
    sys.argv = ["transformers", "serve", *sys.argv[1:]]
    transformers()


if __name__ == "__main__":
    main()
