"""Causal recommendation research: graph-chosen inputs, swappable encoders, any estimator, a protocol to believe."""
