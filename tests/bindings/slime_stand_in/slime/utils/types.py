"""Samples, with the fields that `slime.json` names."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any


@dataclass
class Counts:
    """Counts of an engine, which slime keeps as objects of their own."""

    tokens: int = 0


@dataclass
class Sample:
    """One rollout, from its prompt to its reward."""

    group_index: int | None = None
    index: int | None = None
    rollout_id: int | None = None
    prompt: Any = ""
    tokens: list[int] = field(default_factory=list)
    multimodal_inputs: dict[str, Any] | None = None
    multimodal_train_inputs: dict[str, Any] | None = None
    multimodal_train_input_id: str | None = None
    apply_chat_template_kwargs: dict[str, Any] = field(default_factory=dict)
    response: str = ""
    response_length: int = 0
    label: str | None = None
    reward: Any = None
    loss_mask: list[int] | None = None
    weight_versions: list[str] = field(default_factory=list)
    rollout_log_probs: list[float] | None = None
    rollout_top_p_token_ids: Any = None
    rollout_top_p_token_offsets: Any = None
    rollout_routed_experts: Any = None
    remove_sample: bool = False
    teacher_log_probs: list[float] | None = None

    class Status(Enum):
        """How far a rollout is."""

        PENDING = "pending"
        COMPLETED = "completed"
        TRUNCATED = "truncated"
        ABORTED = "aborted"
        FAILED = "failed"

    status: Status = Status.PENDING
    metadata: dict[str, Any] = field(default_factory=dict)
    generate_function_path: str | None = None
    custom_rm_path: str | None = None
    train_metadata: dict[str, Any] | None = None
    session_id: str | None = None
    non_generation_time: float = 0.0
    spec_info: Counts = field(default_factory=Counts)
    prefix_cache_info: Counts = field(default_factory=Counts)

    def to_dict(self) -> dict[str, Any]:
        """The fields, with the status and the counts as plain values."""
        plain = {
            name: dict(vars(getattr(self, name))) for name in ("spec_info", "prefix_cache_info")
        }
        return {**vars(self), "status": self.status.value, **plain}

    @staticmethod
    def from_dict(data: dict[str, Any]) -> Sample:
        """The sample of which `to_dict` gave this."""
        counts = {name: Counts(**data[name]) for name in ("spec_info", "prefix_cache_info")}
        return Sample(**{**data, "status": Sample.Status(data["status"]), **counts})

    def get_reward_value(self, args: Any) -> Any:
        """The reward, or the one of several that the arguments name."""
        return self.reward[args.reward_key] if args.reward_key else self.reward
