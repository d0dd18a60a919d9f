"""Chooses the prompts of each set: grading by pass rate, domains, difficulty bins, balance."""
