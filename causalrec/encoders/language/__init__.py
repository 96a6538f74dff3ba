"""One Hugging Face model and its texts, with no notion of users or items."""
