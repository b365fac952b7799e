"""The Python client, and the `craftnet` command."""
