"""The API documents: OpenAPI, AsyncAPI and a page, generated from the routing table and message types. Pure."""
