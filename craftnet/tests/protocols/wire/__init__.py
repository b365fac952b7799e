"""Tests of `craftnet.protocols.wire`."""
