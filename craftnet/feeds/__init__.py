"""Feeds: what the watchers of one thing have been told, and what to tell them next."""
