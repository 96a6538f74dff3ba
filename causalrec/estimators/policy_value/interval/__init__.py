"""Intervals of the value of a policy, one file each."""
