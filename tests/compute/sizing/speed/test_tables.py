"""The extract of measured kernel times: literal cells of the tables, and what lies between them."""

from dataclasses import replace

import pytest

from compute.sizing.gpus import catalogue, find
from compute.sizing.speed import kernels
from compute.sizing.speed.kernels import card_of
from compute.sizing.speed.tables import FOLDER, measured

CARDS = {
    "a100-80g", "h100-80g", "h200-141g", "l40s", "b200-180g", "b300-270g", "gb200-186g",
    "gb300-278g", "rtx-pro-6000",
}  # fmt: skip
ROUNDED = 6e-4  # half of a thousandth, and the step of exp


def test_nine_cards_have_tables_of_four_megabytes_at_most() -> None:
    assert {slug for slug in catalogue() if measured(slug)} == CARDS
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 4_000_000
    assert "Apache License" in (FOLDER / "NOTICE").read_text()


def test_cells_are_those_of_the_tables() -> None:
    a100, h100 = measured("a100-80g"), measured("h100-80g")
    assert a100 is not None
    assert h100 is not None
    # Rows, columns, depth; milliseconds of torch.nn.functional.linear.
    assert a100.products["bf16"].seconds(8192, 4096, 12288) == pytest.approx(2.9606e-3, ROUNDED)
    assert a100.products["bf16"].seconds(1, 4096, 4096) == pytest.approx(24.081e-6, ROUNDED)
    # NCCL's all-gather of 512 MiB over eight cards.
    gather = h100.collectives["all_gather", 8]
    assert gather.seconds(2 * 268435456) == pytest.approx(1.40150e-3, ROUNDED)


def test_between_two_sizes_a_time_lies_between_theirs() -> None:
    products = measured("h100-80g").products["bf16"]  # type: ignore[union-attr]
    low, middle, high = (products.seconds(rows, 4096, 4096) for rows in (4096, 6000, 8192))
    assert low < middle < high


def test_beyond_the_largest_size_a_time_grows_as_the_work() -> None:
    tables = measured("h100-80g")
    assert tables is not None
    products, prefill = tables.products["bf16"], tables.prefill[128, 32, 8]
    assert products.seconds(131072, 4096, 4096) == pytest.approx(
        4 * products.seconds(32768, 4096, 4096)
    )
    assert prefill.seconds(1, 32768) == pytest.approx(4 * prefill.seconds(1, 16384))


def test_below_the_smallest_size_a_time_stays() -> None:
    products = measured("h100-80g").products["bf16"]  # type: ignore[union-attr]
    assert products.seconds(1, 16, 4096) == products.seconds(1, 128, 4096)


def test_no_product_is_faster_than_the_best_that_was_held() -> None:
    card = card_of(find("h100-80g"))
    best = max(
        2 * rows * n * k / kernels.product(card, rows, n, k)
        for rows in (4096, 16384) for n in (4096, 12288) for k in (4096, 12288)
    )  # fmt: skip
    assert best == pytest.approx(0.80 * 989.4e12)


def test_a_lower_power_limit_slows_products_by_the_cube_root() -> None:
    whole = find("h100-80g")
    limited = card_of(replace(whole, power=500))
    # (500 - 140) W of (700 - 140) W move the clock: the cube root of 0.643 is 0.863.
    ratio = kernels.product(limited, 8192, 4096, 4096) / kernels.product(
        card_of(whole), 8192, 4096, 4096
    )
    assert ratio == pytest.approx(1 / 0.863, rel=1e-3)


def test_heads_that_were_not_measured_take_their_part_of_the_nearest() -> None:
    card = card_of(find("h100-80g"))
    known = kernels.attention(card, 8192, 4096, 32, 4, 128, False)
    assert kernels.attention(card, 8192, 4096, 28, 4, 128, False) == pytest.approx(known * 28 / 32)


def test_training_attends_slower_than_an_engine_on_hopper() -> None:
    card = card_of(find("h100-80g"))
    engine, training = (
        kernels.attention(card, 8192, 8192, 32, 8, 128, one) for one in (False, True)
    )
    assert 1.3 < training / engine < 2.5


def test_a_mixture_that_was_not_measured_goes_by_the_nearest() -> None:
    card = card_of(find("h100-80g"))
    known = kernels.experts(card, 4096, 2048, 768, 8, 128, 1)
    wider = kernels.experts(card, 4096, 2048, 800, 8, 128, 1)
    assert known < wider < 1.2 * known


def test_quantised_products_are_faster_where_the_card_has_them() -> None:
    h100, a100 = card_of(find("h100-80g")), card_of(find("a100-80g"))
    assert kernels.product(h100, 8192, 8192, 8192, True) < kernels.product(h100, 8192, 8192, 8192)
    assert kernels.product(a100, 8192, 8192, 8192, True) > 0


def test_a_card_of_the_same_chip_with_a_slower_link_takes_its_products_only() -> None:
    h100, h800 = card_of(find("h100-80g")), card_of(find("h800-80g"))
    assert kernels.product(h800, 4096, 4096, 4096) == kernels.product(h100, 4096, 4096, 4096)
    assert kernels.collective(h800, 1e9, 8, 8) > 1.5 * kernels.collective(h100, 1e9, 8, 8)
