"""Curation stages that ask a model: rationales, short answers, categories, validity."""
