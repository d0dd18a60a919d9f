"""Which prompts are kept for which set: pass rates and bins, domains, water-filling."""
