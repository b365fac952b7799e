"""Tests of `craftnet.client.core`."""
