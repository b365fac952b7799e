"""What every layer may use: timers, Deferreds, HTTP requests, resource limits, direct writes, addresses, component
specs.
"""
