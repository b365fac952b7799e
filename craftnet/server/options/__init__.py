"""The operator's options: each is declared once, in the module of its group."""
