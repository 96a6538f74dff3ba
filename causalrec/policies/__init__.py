"""Policies: with which probability each action is taken in a context."""
