"""What both ends of the UDP protocol share. Sans-I/O."""
