"""WeChat, WeChat Pay v3 and a campus identity, simulated on the other side of the wire.

This package knows nothing of the rest of the repository and the rest knows nothing of it:
only addresses and keys in a configuration join the two.
"""
