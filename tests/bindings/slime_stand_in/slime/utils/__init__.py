"""Samples and the event loop."""
