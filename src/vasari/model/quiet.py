"""Transformers' own loading and saving bars, silenced: our progress says what happens."""

from __future__ import annotations

from transformers.utils import logging as transformers_logging


def quiet_loading() -> None:
    """Silence transformers' bars and advice."""
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
