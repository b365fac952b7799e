"""Tests of `craftnet.client`."""
