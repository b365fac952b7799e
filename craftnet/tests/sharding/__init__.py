"""Tests of `craftnet.sharding`."""
