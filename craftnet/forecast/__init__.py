"""Learns from completed crafts how long crafts take, and forecasts it beside the authority's estimates."""
