"""The client's end of the UDP protocol. Sans-I/O."""
