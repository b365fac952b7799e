"""The server side of event streams."""
