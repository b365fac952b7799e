"""Makes the codecs of other languages from the layouts of the server's own: `python -m
craftnet.protocols.wire.generate`.
"""
