"""A laboratory of its own: one component of each kind, none of which causalrec has heard of."""
