"""Tests of reading events from message buses."""
