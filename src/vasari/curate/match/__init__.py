"""What is the same as something else: near-duplicates in a set, benchmark prompts in a training
set.
"""
