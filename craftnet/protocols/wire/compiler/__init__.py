"""Makes fast encoding and decoding functions of the declared layouts. Pure."""
