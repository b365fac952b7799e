"""The server's end of the UDP protocol."""
