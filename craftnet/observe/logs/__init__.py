"""The log of the service: levels, formats, suppression of floods, and masking of secrets."""
