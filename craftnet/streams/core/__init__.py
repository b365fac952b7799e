"""The state of a node's reading from a message bus, without I/O."""
