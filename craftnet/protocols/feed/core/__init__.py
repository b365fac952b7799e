"""The rules of connections of subscribers over TCP. Pure."""
