"""Procedural visual reasoning prompts: image, question, worked reasoning, exact answer."""
