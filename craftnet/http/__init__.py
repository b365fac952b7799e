"""HTTP: the routes of the public contract, and the separation of WebSocket handshakes from requests."""
