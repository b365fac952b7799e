"""Feeds over WebSockets: one connection, all of them, and how updates are encoded for them."""
