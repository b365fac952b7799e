"""What a node does with the messages of a bus, without I/O."""
