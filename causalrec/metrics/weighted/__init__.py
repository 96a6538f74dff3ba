"""Metrics of whole rankings, estimated from outcomes of a sample of the ranked pairs."""
