"""Numbers of things and of bytes as people read them. It imports no Django."""

import math

UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def counted(number: int, thing: str) -> str:
    """``1 row``, ``2 rows``."""
    return f"{number} {thing}{'' if number == 1 else 's'}"


def size_text(count: float) -> str:
    """Bytes in binary units: ``41.2 GiB``."""
    amount, unit = float(count), 0
    while round(amount) >= 1024 and unit < len(UNITS) - 1:
        amount, unit = amount / 1024, unit + 1
    digits = 0 if unit == 0 or round(amount, 1) >= 100 else 1
    return f"{amount:.{digits}f} {UNITS[unit]}"


def limit_text(count: int) -> str:
    """A limit that somebody set, as they wrote it: ``64 MiB``, ``1.5 GiB``."""
    if count < 2**20:
        return f"{count} bytes"
    return f"{count / 2**30:g} GiB" if count >= 2**30 else f"{count / 2**20:g} MiB"


def money_text(amount: float, currency: str) -> str:
    """``2.10 USD``, ``1,234 USD``; a small amount keeps two digits that say something."""
    if amount >= 100:
        return f"{amount:,.0f} {currency}"
    digits = 2 if amount >= 0.1 or amount == 0 else 1 - math.floor(math.log10(amount))
    return f"{amount:.{digits}f} {currency}"
