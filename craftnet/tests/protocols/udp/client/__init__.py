"""Tests of `craftnet.protocols.udp.client`."""
