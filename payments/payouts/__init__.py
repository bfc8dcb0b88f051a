"""Money out of an account at graduation: the original way first, the bank for the rest."""
