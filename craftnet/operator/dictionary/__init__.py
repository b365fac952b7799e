"""Trained dictionaries of `craftnet.json.lz4.v1`: sample traffic, train, evaluate, publish."""
