"""Variance-aware post-training for multimodal reasoning."""

__version__ = "0.2.0.dev0"
