"""Feeds: the state of a session or a player, its updates, and their delivery to subscribers."""
