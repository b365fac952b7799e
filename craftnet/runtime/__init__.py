"""Parts around Twisted that every layer may use: timers, Deferreds, HTTP requests, sockets, addresses, limits."""
