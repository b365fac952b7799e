"""WebSocket connections on Autobahn."""
