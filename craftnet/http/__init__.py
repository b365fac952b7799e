"""HTTP: the routes of the public contract, and the door that tells a WebSocket handshake from a request."""
