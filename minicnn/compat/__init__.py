"""Hints for names that Keras has and minicnn lacks: they say what to use instead."""
