"""The server's side of these connections."""
