"""The data flow of a run: plan, prepare, fit, score, record."""
