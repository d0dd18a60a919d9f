"""A plan of a recipe's run: its parameters, tokens, memory, rollouts, disk and hours, unpaid."""
