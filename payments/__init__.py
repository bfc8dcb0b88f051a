"""How money comes in: orders, WeChat Pay, and the promise that every paid fen is credited once."""
