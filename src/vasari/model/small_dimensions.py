"""A model's config in small dimensions, of the same class and the same structure."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

WIDTH = 64
"""Width of the language model."""
HEADS = 4
"""Attention heads of the language model."""
VISION_WIDTH = 32
"""Width of the vision encoder."""
TOKENS_A_SIDE = 4
"""Tokens along one side of an image whose number of tokens is fixed."""

_AT_MOST: Mapping[str, int] = {
    "num_experts": 4,
    "num_local_experts": 4,
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "top_k_experts": 2,
    "first_k_dense_replace": 1,
    "n_group": 1,
    "topk_group": 1,
    "moe_intermediate_size": 32,
    "shared_expert_intermediate_size": 32,
    "linear_key_head_dim": 16,
    "linear_value_head_dim": 16,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "hidden_size_per_layer_input": 8,
}
"""Dimension of a language model -> the most that it is."""


def small_config(config: Any) -> Any:
    """Return a config of the same class whose model has small dimensions.

    Widths, heads, layers and fixed image sizes become small. What makes the structure stays: which
    layers attend to what, in one period of their pattern; the parts of a rotary embedding, in
    proportion; patch and merge sizes; tied embeddings; token ids; limits of length.

    Args:
        config: transformers' config of a vision-language or text-only model; not changed.
    """
    content = config.to_dict()
    if content.get("text_config") is None:
        return type(config).from_dict(_small_text(content))
    content["text_config"] = text = _small_text(content["text_config"])
    if content.get("vision_config") is not None:
        vision = _small_vision(content["vision_config"], text["hidden_size"])
        if "mm_tokens_per_image" in content:
            content["mm_tokens_per_image"] = _fix_tokens(vision, content["mm_tokens_per_image"])
        content["vision_config"] = vision
    if content.get("audio_config") is not None:
        content["audio_config"] = _small_audio(content["audio_config"])
    if "projector_hidden_size" in content:
        content["projector_hidden_size"] = WIDTH
    return type(config).from_dict(content)


def differences(before: Any, after: Any) -> list[tuple[str, Any, Any]]:
    """Return what differs between two configs: the setting's path, its value before and after.

    What saving a model writes into its config, its class and its data type, is left out.
    """
    found = _differences(before.to_dict(), after.to_dict(), "")
    return [one for one in found if one[0].rpartition(".")[2] not in ("architectures", "dtype")]


def _differences(before: Any, after: Any, place: str) -> list[tuple[str, Any, Any]]:
    if isinstance(before, dict) and isinstance(after, dict):
        return [
            found
            for key in dict.fromkeys((*before, *after))
            for found in _differences(
                before.get(key), after.get(key), f"{place}.{key}" if place else str(key)
            )
        ]
    return [] if before == after else [(place, before, after)]


def _small_text(text: Mapping[str, Any]) -> dict[str, Any]:
    old_heads, old_keys = text["num_attention_heads"], text.get("num_key_value_heads")
    old_head = text.get("head_dim") or text["hidden_size"] // old_heads
    head = _head_size(text.get("rope_parameters"))
    layers = _num_layers(text)
    small = dict(text) | {
        "hidden_size": WIDTH,
        "intermediate_size": 2 * WIDTH,
        "num_attention_heads": WIDTH // head if text.get("head_dim") is None else HEADS,
        "num_hidden_layers": layers,
    }
    if old_keys is not None:
        heads = small["num_attention_heads"]
        small["num_key_value_heads"] = (
            heads if old_keys == old_heads else max(1, min(old_keys, heads // 2))
        )
    for name in ("head_dim", "global_head_dim", "query_pre_attn_scalar"):
        if text.get(name) is not None:
            small[name] = max(1, text[name] * head // old_head)
    for name, most in _AT_MOST.items():
        if text.get(name):
            small[name] = min(text[name], most)
    _fit_layers(small, layers, head, old_head)
    if small.get("rope_parameters"):
        small["rope_parameters"] = _small_rope(small["rope_parameters"], head)
    return small


def _fit_layers(small: dict[str, Any], layers: int, head: int, old_head: int) -> None:
    """Cut what is given for each layer to so many layers."""
    if small.get("layer_types"):
        small["layer_types"] = small["layer_types"][:layers]
    if small.get("full_attn_idxs"):
        small["full_attn_idxs"] = [place for place in small["full_attn_idxs"] if place < layers]
    if small.get("mlp_only_layers"):
        small["mlp_only_layers"] = [place for place in small["mlp_only_layers"] if place < layers]
    if small.get("num_kv_shared_layers"):
        small["num_kv_shared_layers"] = layers // 2
    if small.get("max_window_layers") is not None:
        small["max_window_layers"] = min(small["max_window_layers"], layers)
    if small.get("per_layer_config"):
        small["per_layer_config"] = {
            place: {
                name: max(1, value * head // old_head) if name == "head_dim" else value
                for name, value in own.items()
            }
            for place, own in small["per_layer_config"].items()
            if int(place) < layers
        }


def _num_layers(text: Mapping[str, Any]) -> int:
    """Layers that hold one period of the pattern of layer types; two where layers share keys."""
    types: Sequence[str] = text.get("layer_types") or []
    period = 2
    if len(set(types)) > 1:
        period = max(types.index(kind) for kind in set(types)) + 1
    if text.get("num_kv_shared_layers"):
        period *= 2
    return min(max(2, period), int(text["num_hidden_layers"]))


def _rotary_parts(rope: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    """The rotary embeddings of a model: one, or one for each type of layer."""
    if not rope:
        return []
    if all(isinstance(part, Mapping) for part in rope.values()):
        return list(rope.values())
    return [rope]


def _head_size(rope: Mapping[str, Any] | None) -> int:
    """A small size of a head, of whose rotated part each section gets a place."""
    share = min(
        (float(part.get("partial_rotary_factor") or 1.0) for part in _rotary_parts(rope)),
        default=1.0,
    )
    return 16 if share >= 0.5 else 32


def _small_rope(rope: Mapping[str, Any], head: int) -> dict[str, Any]:
    if rope and all(isinstance(part, Mapping) for part in rope.values()):
        return {kind: _small_rope(part, head) for kind, part in rope.items()}
    sections = rope.get("mrope_section")
    if not sections:
        return dict(rope)
    pairs = int(head * float(rope.get("partial_rotary_factor") or 1.0)) // 2
    return dict(rope) | {"mrope_section": _in_proportion(sections, pairs)}


def _in_proportion(sections: Sequence[int], total: int) -> list[int]:
    """Whole numbers of the given sum, at least 1 and as near to the proportions as they can be."""
    exact = [section * total / sum(sections) for section in sections]
    small = [max(1, math.floor(value)) for value in exact]
    for place in sorted(range(len(small)), key=lambda one: small[one] - exact[one]):
        if sum(small) < total:
            small[place] += 1
    while sum(small) > total:
        small[small.index(max(small))] -= 1
    return small


def _small_vision(vision: Mapping[str, Any], text_width: int) -> dict[str, Any]:
    small = dict(vision)
    _set(small, "num_heads", lambda _: 2)
    _set(small, "num_attention_heads", lambda _: 2)
    _set(
        small,
        "num_key_value_heads",
        lambda old: 2 if old == vision.get("num_attention_heads") else 1,
    )
    _set(small, "head_dim", lambda _: VISION_WIDTH // 2)
    _set(small, "global_head_dim", lambda _: VISION_WIDTH // 2)
    _set(small, "intermediate_size", lambda _: 2 * VISION_WIDTH)
    _set(small, "out_hidden_size", lambda _: text_width)
    if "embed_dim" in vision:  # Qwen2-VL calls what it puts out `hidden_size`
        small |= {"embed_dim": VISION_WIDTH, "hidden_size": text_width}
    else:
        small["hidden_size"] = VISION_WIDTH
    depth = 2
    if vision.get("fullatt_block_indexes"):
        small["fullatt_block_indexes"] = [depth - 1]
    if tapped := vision.get("deepstack_visual_indexes"):
        small["deepstack_visual_indexes"] = list(range(len(tapped)))
        depth = len(tapped) + 1
    _set(small, "depth", lambda _: depth)
    _set(small, "num_hidden_layers", lambda _: depth)
    if small.get("layer_types"):
        small["layer_types"] = small["layer_types"][:depth]
    return small


def _small_audio(audio: Mapping[str, Any]) -> dict[str, Any]:
    small = dict(audio)
    for name, value in (
        ("hidden_size", 16),
        ("num_hidden_layers", 1),
        ("num_attention_heads", 2),
        ("output_proj_dims", 16),
    ):
        _set(small, name, lambda _, value=value: value)  # type: ignore[misc]
    return small


def _fix_tokens(vision: dict[str, Any], tokens: int) -> int:
    """Make images small that all get the same number of tokens; return their number."""
    side = math.isqrt(tokens)
    if side > TOKENS_A_SIDE:
        vision["image_size"] = vision["image_size"] * TOKENS_A_SIDE // side
        return TOKENS_A_SIDE**2
    return tokens


def _set(content: dict[str, Any], name: str, value: Callable[[Any], Any]) -> None:
    if content.get(name) is not None:
        content[name] = value(content[name])
