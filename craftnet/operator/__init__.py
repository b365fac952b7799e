"""The commands of `craftnet` for the operators of a server."""
