"""Variance-aware post-training for multimodal reasoning."""

__version__ = "0.1.0"
