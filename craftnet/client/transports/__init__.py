"""Ways to watch a session: WebSocket and UDP."""
