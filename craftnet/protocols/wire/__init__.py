"""The bytes of the UDP protocol and of posted records: layouts, values, codecs. Pure."""
