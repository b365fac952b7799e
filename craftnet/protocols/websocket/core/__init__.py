"""The rules of the WebSocket feeds: handshake, subprotocols, frames, encodings, conflation, drain. Pure."""
