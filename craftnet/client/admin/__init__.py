"""The commands of administrators: `craftnet top`, `sessions`, `trace`, `events`."""
