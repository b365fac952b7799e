"""Tests of `craftnet.client.load`."""
