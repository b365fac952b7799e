"""Notifies players who have no connection: of a free station, and of the end of a craft."""
