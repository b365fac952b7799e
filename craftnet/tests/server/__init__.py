"""Tests of `craftnet.server`."""
