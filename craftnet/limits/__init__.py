"""Limits on connections and requests: number, rate and origin."""
