"""Tests of `craftnet.providers`."""
