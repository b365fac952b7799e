"""The protocols that reach players: WebSocket, and the encrypted UDP protocol."""
