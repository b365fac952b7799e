"""Trained dictionaries for `craftnet.json.lz4.v1`: capture messages, train, evaluate, publish."""
