"""The format of event streams. Pure."""
