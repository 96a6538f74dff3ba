"""Scores: what policies order the actions of a context by."""
