"""Weights: a small VLM from scratch, a cold start by SFT, GRPO on TRL."""
