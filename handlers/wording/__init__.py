"""Everything the bot says, in Chinese: the one catalogue, a module per subject.

Plain functions that return finished text, short enough for a phone and below the 2048 bytes that
WeChat allows: whatever comes from outside in any number or length is cut here.
"""
