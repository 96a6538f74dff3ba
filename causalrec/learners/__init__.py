"""What fits: a network trained by Lightning, or a learner of effects from a table of numbers."""
