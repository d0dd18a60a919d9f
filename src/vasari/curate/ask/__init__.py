"""Stages that ask a model: rationales, short answers, categories, validity of prompts."""
