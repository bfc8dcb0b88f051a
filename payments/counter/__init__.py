"""Money that does not come through WeChat: the counter and the lists of the bank."""
