"""Connections of subscribers over TCP, whether WebSocket or server-sent events."""
