"""Attempts to break an estimated average effect, and what each of them cannot see."""
