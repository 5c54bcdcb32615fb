"""What an hour of one GPU of a job costs."""

from compute.models import Machine
from compute.prices.table import PriceTable, parts_of, price_table
from compute.sizing.gpus import Gpu


def price_of(
    gpu: Gpu, machine: Machine | None = None, count: int = 1, table: PriceTable | None = None
) -> float | None:
    """Of one GPU for an hour: the machine's own price over its ``count`` cards, else the card's.

    In a group it is what its machines cost together over their cards: a job may get any of them.
    """
    table = table or price_table()
    if machine and machine.is_group:
        whole = table.of_machines(parts_of(machine))
        return whole / count if whole is not None and count else None
    whole = table.per_hour(machine) if machine else None
    return whole / count if whole is not None and count else table.per_gpu_hour(gpu.slug)
