"""Stages that ask a model: rationales, short answers, categories, what is answerable without
looking.
"""
