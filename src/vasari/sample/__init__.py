"""Samplers, which choose a batch's prompts, and gates, which choose groups to train. NumPy only."""

from vasari.sample.base import PromptSampler
from vasari.sample.check import check_prompt_sampler
from vasari.sample.check_gate import check_gate
from vasari.sample.features import PoolFeatures, prompt_features
from vasari.sample.gate import AllGate, Gate, MixedGate
from vasari.sample.peers.beta import BETA_PRESETS, BetaSampler, BetaSettings
from vasari.sample.peers.bins import BINS_PRESETS, BinsSampler, BinsSettings
from vasari.sample.peers.hmm import HMM_PRESETS, HmmSampler, HmmSettings
from vasari.sample.peers.mmr1 import Mmr1Sampler, Mmr1Settings
from vasari.sample.peers.oracle import OracleSampler, OracleSettings
from vasari.sample.peers.prioritised import PrioritisedSampler, PrioritisedSettings
from vasari.sample.peers.replay import ReplaySampler, ReplaySettings
from vasari.sample.peers.retain import RetainSampler, RetainSettings
from vasari.sample.peers.skip import SkipSampler, SkipSettings
from vasari.sample.peers.target import TARGET_PRESETS, TargetSampler, TargetSettings
from vasari.sample.peers.two_stage import (
    TWO_STAGE_PRESETS,
    ScreeningRule,
    TwoStageGate,
    TwoStageSettings,
)
from vasari.sample.peers.wrapper import SamplerWrapper
from vasari.sample.progress import ProgressSampler, ProgressSettings
from vasari.sample.registry import (
    GATE_NAMES,
    SAMPLER_NAMES,
    make_gate,
    make_sampler,
    vas_settings,
)
from vasari.sample.state_file import load_state, save_state
from vasari.sample.uniform import UniformSampler
from vasari.sample.vas import (
    VAS_PRESETS,
    Refresh,
    VarianceAwareSampler,
    VarianceAwareSettings,
)

__all__ = [
    "AllGate",
    "BINS_PRESETS",
    "BinsSampler",
    "BinsSettings",
    "GATE_NAMES",
    "BETA_PRESETS",
    "BetaSampler",
    "BetaSettings",
    "Gate",
    "HMM_PRESETS",
    "HmmSampler",
    "HmmSettings",
    "MixedGate",
    "Mmr1Sampler",
    "Mmr1Settings",
    "OracleSampler",
    "OracleSettings",
    "PoolFeatures",
    "PrioritisedSampler",
    "PrioritisedSettings",
    "ProgressSampler",
    "ProgressSettings",
    "PromptSampler",
    "Refresh",
    "ReplaySampler",
    "ReplaySettings",
    "RetainSampler",
    "RetainSettings",
    "SAMPLER_NAMES",
    "SamplerWrapper",
    "ScreeningRule",
    "SkipSampler",
    "SkipSettings",
    "TARGET_PRESETS",
    "TWO_STAGE_PRESETS",
    "TargetSampler",
    "TargetSettings",
    "TwoStageGate",
    "TwoStageSettings",
    "UniformSampler",
    "VAS_PRESETS",
    "VarianceAwareSampler",
    "VarianceAwareSettings",
    "check_gate",
    "check_prompt_sampler",
    "load_state",
    "make_gate",
    "make_sampler",
    "prompt_features",
    "save_state",
    "vas_settings",
]
