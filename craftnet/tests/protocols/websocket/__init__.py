"""Tests of `craftnet.protocols.websocket`."""
