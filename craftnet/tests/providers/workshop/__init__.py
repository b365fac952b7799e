"""Tests of `craftnet.providers.workshop`."""
