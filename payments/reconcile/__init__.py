"""Whether WeChat's bills, our orders and billing's books say the same, to the fen."""
