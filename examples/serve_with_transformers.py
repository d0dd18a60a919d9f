"""Run `transformers serve` for a small model of this project, whose processor it lacks.

    pip install 'transformers[serving]'
    python examples/serve_with_transformers.py RUN/cold_start/model --port 8200

Alone, `transformers serve RUN/cold_start/model` answers, but never sees an image: `AutoProcessor`
looks for the class that the folder names ("ImageTextProcessor"), which transformers does not have,
and falls back to the tokenizer without a word; its own class for the architecture asks for a video
processor, which needs torchvision. Here the class is registered, and everything else is the stock
server. All arguments are those of `transformers serve`.
"""

from __future__ import annotations

import sys
from typing import Any

from transformers import AutoProcessor, Qwen2_5_VLConfig
from transformers.cli.transformers import main as transformers

from vasari.model.processor import ImageTextProcessor, load_processor


class ServedProcessor(ImageTextProcessor):
    """The project's processor, with the loading method that `AutoProcessor` calls."""

    @classmethod
    def from_pretrained(cls, path: str, **_: Any) -> Any:
        """Load the processor saved with a model; settings for the hub are ignored."""
        return load_processor(path)


# AutoProcessor finds a registered class by the name that the folder gives.
ServedProcessor.__name__ = ImageTextProcessor.__name__


def main() -> None:
    """Register the processor and run `transformers serve`."""
    AutoProcessor.register(Qwen2_5_VLConfig, ServedProcessor, exist_ok=True)
    sys.argv = ["transformers", "serve", *sys.argv[1:]]
    transformers()


if __name__ == "__main__":
    main()
