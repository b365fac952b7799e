"""Traces: which events and requests are followed, their spans, and their export."""
