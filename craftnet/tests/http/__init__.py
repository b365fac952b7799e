"""Tests of `craftnet.http`."""
