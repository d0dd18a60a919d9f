"""Numbers -> which prompts next, and which groups train. NumPy only."""

from vasari.sample.base import PromptSampler
from vasari.sample.beta import BETA_PRESETS, BetaSampler, BetaSettings
from vasari.sample.bins import BINS_PRESETS, BinsSampler, BinsSettings
from vasari.sample.check import check_prompt_sampler
from vasari.sample.check_gate import check_gate
from vasari.sample.features import PoolFeatures, prompt_features
from vasari.sample.gate import AllGate, Gate, MixedGate
from vasari.sample.gates import GATE_NAMES, make_gate
from vasari.sample.hmm import HMM_PRESETS, HmmSampler, HmmSettings
from vasari.sample.mmr1 import Mmr1Sampler, Mmr1Settings
from vasari.sample.oracle import OracleSampler, OracleSettings
from vasari.sample.prioritised import PrioritisedSampler, PrioritisedSettings
from vasari.sample.progress import ProgressSampler
from vasari.sample.progress_settings import ProgressSettings
from vasari.sample.registry import SAMPLER_NAMES, make_sampler, vas_settings
from vasari.sample.replay import ReplaySampler, ReplaySettings
from vasari.sample.retain import RetainSampler, RetainSettings
from vasari.sample.skip import SkipSampler, SkipSettings
from vasari.sample.state_file import load_state, save_state
from vasari.sample.target import TARGET_PRESETS, TargetSampler, TargetSettings
from vasari.sample.two_stage import TWO_STAGE_PRESETS, TwoStageGate, TwoStageSettings
from vasari.sample.uniform import UniformSampler
from vasari.sample.vas import VarianceAwareSampler
from vasari.sample.vas_settings import VAS_PRESETS, Refresh, VarianceAwareSettings
from vasari.sample.wrapper import SamplerWrapper

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
