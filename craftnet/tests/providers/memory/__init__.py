"""Tests of `craftnet.providers.memory`."""
