"""What it takes to ask a language model: templates, spellings of an answer, prefixes read once, scores on disk."""
