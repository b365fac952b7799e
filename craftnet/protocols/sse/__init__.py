"""Feeds as server-sent events (HTML Living Standard, section 9.2)."""
