"""The rows a model is scored on: each component yields some, named, or none where it does not apply."""
