"""Tests of `craftnet.protocols.udp.server`."""
