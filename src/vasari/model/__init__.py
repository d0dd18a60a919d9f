"""Who answers prompts: a transformers model in this process, or a script."""
