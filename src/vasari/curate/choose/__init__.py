"""Which prompts are kept for which set: grading by pass rate, domains and bins, balance."""
