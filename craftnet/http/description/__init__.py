"""The API documents: OpenAPI, AsyncAPI and a page, made of the routing table and the message types. Pure."""
