"""Training on TRL: the cold start by SFT, and GRPO on prompts that a sampler chooses."""
