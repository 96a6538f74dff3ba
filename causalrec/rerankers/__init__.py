"""What orders the best items of a user anew."""
