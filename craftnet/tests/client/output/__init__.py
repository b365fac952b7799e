"""Tests of `craftnet.client.output`."""
