"""Feeds over UDP: both ends of the protocol that PROTOCOL.md specifies."""
