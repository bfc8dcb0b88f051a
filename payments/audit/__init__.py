"""Checks of the books: invariants, the hash chain, one order from end to end, metrics."""
