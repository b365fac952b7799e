"""Feeds over WebSocket: one connection, all connections, and the encodings of updates."""
