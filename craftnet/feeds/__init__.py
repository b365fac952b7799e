"""Feeds: what the watchers of one thing have received, and what they receive next."""
