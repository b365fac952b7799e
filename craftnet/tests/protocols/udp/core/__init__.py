"""Tests of `craftnet.protocols.udp.core`."""
