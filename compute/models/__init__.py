"""The tables of machines and of prices. Django finds them by these names."""

from compute.models.machines import (
    Machine,
    MachineEvent,
    MachineQuerySet,
    MachineSample,
    MachineSecret,
    Membership,
    SetUp,
    when,
)
from compute.models.prices import HIGHEST_PRICE, Price

__all__ = [
    "HIGHEST_PRICE",
    "Machine",
    "MachineEvent",
    "MachineQuerySet",
    "MachineSample",
    "MachineSecret",
    "Membership",
    "Price",
    "SetUp",
    "when",
]
