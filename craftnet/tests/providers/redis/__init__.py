"""Tests of `craftnet.providers.redis`."""
