"""The format. Pure."""
