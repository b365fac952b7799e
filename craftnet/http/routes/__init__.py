"""The endpoints of the HTTP interface, and the table of their paths."""
