"""Money and traffic as text; integers everywhere else."""

from __future__ import annotations

FEN_PER_YUAN = 100
# GB as the fee table prints it; docs/policy.md says why decimal is the default.
BYTES_PER_GB = 10**9


def yuan(fen: int) -> str:
    """Fen as yuan with two decimals: 500 -> "5.00"."""
    sign = "-" if fen < 0 else ""
    whole, rest = divmod(abs(fen), FEN_PER_YUAN)
    return f"{sign}{whole}.{rest:02d}"


def yuan_short(fen: int) -> str:
    """Fen as yuan without needless decimals: 500 -> "5", 550 -> "5.50"."""
    return str(fen // FEN_PER_YUAN) if fen % FEN_PER_YUAN == 0 else yuan(fen)


def gigabytes(count: int) -> str:
    """Bytes as GB with one decimal, rounded down so that nobody is promised more than there is."""
    tenths = count * 10 // BYTES_PER_GB
    return f"{tenths // 10}.{tenths % 10}"


def traffic(count: int) -> str:
    """Bytes with their unit, never a rest shown as nothing: 3.2 GB, 45 MB, 不足 1 MB, 0 MB."""
    if not count:
        return "0 MB"
    if count * 10 >= BYTES_PER_GB:
        return f"{gigabytes(count)} GB"
    megabytes = count * 1000 // BYTES_PER_GB
    return f"{megabytes} MB" if megabytes else "不足 1 MB"


def mask_name(name: str) -> str:
    """A name as a stranger may see it: at most its last two characters, never the first; 李小明 -> *小明."""
    return f"*{name[1:][-2:]}" if len(name) > 1 else "*"
