"""Tests of `craftnet.client.admin`."""
