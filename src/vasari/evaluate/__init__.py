"""A policy and sets of prompts -> scores with their uncertainty."""
