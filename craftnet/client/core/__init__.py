"""A watch and its parts, independent of the transport."""
