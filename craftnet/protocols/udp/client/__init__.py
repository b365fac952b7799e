"""The client's side of the UDP protocol. Sans-I/O."""
