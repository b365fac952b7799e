"""The operator's options: each is declared once, as a field of the dataclass of its group."""
