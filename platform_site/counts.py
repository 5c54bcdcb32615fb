"""Numbers of things and of bytes as people read them. It imports no Django."""

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
