"""Processor classes of transformers, less their video processor, which needs torchvision."""

from __future__ import annotations

import sys
from functools import cache
from types import SimpleNamespace
from typing import Any

from transformers.processing_utils import ProcessorMixin


class _WithoutVideos(ProcessorMixin):  # type: ignore[misc]
    """Comes after a processor class and before ProcessorMixin, whose view of it this changes."""

    # SmolVLM's class reads these two where it applies a chat template, videos or not.
    video_processor = SimpleNamespace(num_frames=None, fps=None)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.pop("video_processor", None)
        super().__init__(*args, **kwargs)

    @classmethod
    def get_attributes(cls) -> list[str]:
        """Return the names of the parts: without the video processor, which is not loaded."""
        return [name for name in super().get_attributes() if name != "video_processor"]

    @classmethod
    def _get_arguments_from_pretrained(cls, *args: Any, **kwargs: Any) -> list[Any]:
        parts = super()._get_arguments_from_pretrained(*args, **kwargs)
        # The class's own `__init__` takes the video processor last of its parts.
        return [*parts, None]

    def __reduce__(self) -> tuple[Any, ...]:
        return _empty, (type(self).__mro__[1],), self.__dict__


@cache
def without_videos(source: Any) -> Any:
    """Return the processor class `source` of transformers for images and text only.

    It has the same name and is a subclass; a class that takes no videos is returned as it is.
    """
    if "video_processor" not in source.get_attributes():
        return source
    module = sys.modules[source.__module__]
    # SmolVLM's class wants this package even without videos, for whose captions alone it calls it.
    if getattr(module, "num2words", "") is None:
        module.num2words = str  # type: ignore[attr-defined]
    return type(source.__name__, (source, _WithoutVideos), {"__doc__": source.__doc__})


def _empty(source: Any) -> Any:
    made = without_videos(source)
    return made.__new__(made)
