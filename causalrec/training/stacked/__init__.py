"""Many fits as one stacked program."""
