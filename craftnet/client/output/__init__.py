"""The output of a watch: terminal, lines, JSON."""
