"""The stand-ins by family."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from stand_ins.gemma import gemma3, gemma4
from stand_ins.llava_glm import glm4v, llava_next, llava_onevision
from stand_ins.qwen import qwen2_5_vl, qwen2_text, qwen2_vl, qwen3_5, qwen3_text, qwen3_vl
from stand_ins.tiles import idefics3, internvl3, lfm2_vl, smolvlm2


@dataclass(frozen=True, kw_only=True)
class StandIn:
    """A small untrained model that stands for a published one."""

    title: str
    """The published model whose layout it has."""
    make: Callable[[Path], None]
    """Writes its folder."""
    has_images: bool = True
    """Whether it sees images."""
    needs_torchvision: bool = False
    """Whether its images cannot be prepared without torchvision."""


STAND_INS: Mapping[str, StandIn] = MappingProxyType(
    {
        "qwen2_5_vl": StandIn(title="Qwen2.5-VL-3B-Instruct", make=qwen2_5_vl),
        "qwen2_vl": StandIn(title="Qwen2-VL-2B-Instruct", make=qwen2_vl),
        "qwen3_vl": StandIn(title="Qwen3-VL-2B-Instruct", make=qwen3_vl),
        "qwen3_5": StandIn(title="Qwen3.5-2B", make=qwen3_5),
        "gemma3": StandIn(title="gemma-3-4b-it", make=gemma3),
        "gemma4": StandIn(title="gemma-4-E2B-it", make=gemma4),
        "smolvlm2": StandIn(title="SmolVLM2-2.2B-Instruct", make=smolvlm2),
        "idefics3": StandIn(title="Idefics3-8B-Llama3", make=idefics3),
        "internvl3": StandIn(title="InternVL3-1B-hf", make=internvl3),
        "glm4v": StandIn(title="GLM-4.1V-9B-Thinking", make=glm4v),
        "llava_onevision": StandIn(title="llava-onevision-qwen2-0.5b-ov-hf", make=llava_onevision),
        "llava_next": StandIn(title="llava-v1.6-mistral-7b-hf", make=llava_next),
        "lfm2_vl": StandIn(title="LFM2.5-VL-3B", make=lfm2_vl, needs_torchvision=True),
        "qwen2_text": StandIn(title="Qwen2.5-0.5B-Instruct", make=qwen2_text, has_images=False),
        "qwen3_text": StandIn(title="Qwen3-0.6B", make=qwen3_text, has_images=False),
    }
)
IMAGE_FAMILIES = tuple(name for name, stand_in in STAND_INS.items() if stand_in.has_images)
"""Names of the stand-ins that see images."""


def make_stand_in(name: str, folder: Path) -> Path:
    """Write the small model `name` to `folder`, and return `folder`; the bytes are always the same."""
    STAND_INS[name].make(folder)
    return folder
