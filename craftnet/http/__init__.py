"""HTTP/1.1: parsing, routing, the routes of the public contract, and connections."""
