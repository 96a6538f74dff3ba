"""What is known of the items of a catalogue, and the lists that are made of them."""
