"""Reversals, withdrawals and package purchases: our books against billing's list, and how to repair it."""
