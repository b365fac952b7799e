"""The rules about these connections. Pure."""
