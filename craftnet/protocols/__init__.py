"""The protocols to players: WebSocket, event streams, and the encrypted UDP protocol."""
