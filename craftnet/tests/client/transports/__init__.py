"""Tests of `craftnet.client.transports`."""
