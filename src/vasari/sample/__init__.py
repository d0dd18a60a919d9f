"""Numbers -> which prompts next, and which groups train. NumPy only."""

from vasari.sample.base import PromptSampler
from vasari.sample.check import check_prompt_sampler
from vasari.sample.features import PoolFeatures, prompt_features
from vasari.sample.gate import AllGate, Gate, MixedGate, make_gate
from vasari.sample.mmr1 import Mmr1Sampler, Mmr1Settings
from vasari.sample.progress import ProgressSampler
from vasari.sample.progress_settings import ProgressSettings
from vasari.sample.registry import SAMPLER_NAMES, make_sampler, vas_settings
from vasari.sample.state_file import load_state, save_state
from vasari.sample.uniform import UniformSampler
from vasari.sample.vas import VarianceAwareSampler
from vasari.sample.vas_settings import VAS_PRESETS, Refresh, VarianceAwareSettings

__all__ = [
    "AllGate",
    "Gate",
    "MixedGate",
    "Mmr1Sampler",
    "Mmr1Settings",
    "PoolFeatures",
    "ProgressSampler",
    "ProgressSettings",
    "PromptSampler",
    "Refresh",
    "SAMPLER_NAMES",
    "UniformSampler",
    "VAS_PRESETS",
    "VarianceAwareSampler",
    "VarianceAwareSettings",
    "check_prompt_sampler",
    "load_state",
    "make_gate",
    "make_sampler",
    "prompt_features",
    "save_state",
    "vas_settings",
]
