"""The transports of a watch: WebSocket, UDP, and event streams."""
