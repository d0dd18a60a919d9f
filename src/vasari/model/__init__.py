"""Policies that answer prompts: transformers models, models behind a server, scripted ones."""

from vasari.model.path import resolve_model

__all__ = ["resolve_model"]
