from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.conf import settings

from compute.prices.table import price_table
from compute.sizing.gpus import Gpu, catalogue
from jobs.fit.asking import cards_there
from jobs.fit.pricing import price_of
from jobs.management.base import find_machine
from platform_site.commands import JsonCommand
from platform_site.counts import money_text, size_text

LINE = "{:<20} {:>10} {:>10} {:>10} {:>11} {:>12}  {}"
HEADS = ("gpu", "memory", "bf16", "fp8", "bandwidth", "price/h each", "name")


class Command(JsonCommand):
    help = "List the GPUs that estimates know, with their figures and what an hour costs."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        only = parser.add_mutually_exclusive_group()
        only.add_argument("--maker", default="", help="those of one maker: NVIDIA, AMD, Huawei")
        only.add_argument("--machine", default="", help="those of a machine, as it was measured")

    def handle(self, *args: Any, **options: Any) -> None:
        rows = _of_machine(options["machine"]) if options["machine"] else _of(options["maker"])
        data = [{**asdict(gpu), "per_hour": price, "count": count} for gpu, price, count in rows]
        lines = [LINE.format(*HEADS), *(_line(*row) for row in rows)]
        self.show(options, data, "\n".join(lines))


Row = tuple[Gpu, float | None, int | None]  # a card, what an hour of it costs, how many are there


def _of(maker: str) -> list[Row]:
    prices, wanted = price_table(), maker.lower()
    return [
        (gpu, prices.per_gpu_hour(gpu.slug), None)
        for gpu in catalogue().values()
        if wanted in gpu.maker.lower()
    ]


def _of_machine(name: str) -> list[Row]:
    machine = find_machine(name)
    cards = cards_there(machine)
    return [(cards.gpu, price_of(cards.gpu, machine, cards.count), cards.count)]


def _line(gpu: Gpu, price: float | None, count: int | None) -> str:
    times = "" if count is None else f"{count} x "
    return LINE.format(
        gpu.slug,
        size_text(gpu.memory),
        f"{gpu.flops / 1e12:,.0f} TF/s",
        f"{gpu.flops_fp8 / 1e12:,.0f} TF/s" if gpu.flops_fp8 else "-",
        f"{gpu.bandwidth / 2**30:,.0f} GiB/s",
        "-" if price is None else money_text(price, settings.TRAINYARD_CURRENCY),
        times + gpu.name,
    )
