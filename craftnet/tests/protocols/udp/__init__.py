"""Tests of `craftnet.protocols.udp`."""
