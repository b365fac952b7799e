"""The server side of connections of subscribers over TCP."""
