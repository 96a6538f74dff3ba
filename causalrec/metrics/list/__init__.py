"""Metrics of the lists that users are shown."""
