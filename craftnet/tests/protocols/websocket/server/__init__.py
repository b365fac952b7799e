"""Tests of `craftnet.protocols.websocket.server`."""
