"""Tests of `craftnet.protocols.websocket.core`."""
