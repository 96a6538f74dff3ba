"""Judges what a training objective claims to estimate, on populations whose truth is known."""
