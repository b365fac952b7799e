"""The parts of the UDP protocol that both ends share. Sans-I/O."""
