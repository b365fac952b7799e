"""The connections of subscribers, whichever protocol over TCP they use: WebSocket or server-sent events."""
