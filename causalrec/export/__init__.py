"""The way out: a trained run as a folder that scores pairs without this package."""
