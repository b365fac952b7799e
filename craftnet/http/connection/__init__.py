"""HTTP/1.1 connections: from the first byte to a request, and the ways in which one ends."""
