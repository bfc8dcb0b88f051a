"""Where credit goes: one interface in our words, and the engines behind it."""
