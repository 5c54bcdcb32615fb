"""A hash is kept with its object, and with no copy of it."""

import pickle
from dataclasses import replace

from compute.sizing.gpus import catalogue
from compute.sizing.hashed import KEPT
from compute.sizing.speed.kernels import card_of

H100 = catalogue()["h100-80g"]


def test_equal_cards_have_one_hash_and_share_what_is_made_of_them() -> None:
    again = replace(H100)
    assert again is not H100
    assert hash(again) == hash(H100)
    assert card_of(again) is card_of(H100)


def test_a_card_with_other_memory_is_another() -> None:
    hash(H100)
    assert card_of(replace(H100, memory=1)) is not card_of(H100)


def test_a_kept_hash_stays_in_its_process() -> None:
    hash(H100)
    assert KEPT in vars(H100)
    assert KEPT not in vars(pickle.loads(pickle.dumps(H100)))  # noqa: S301  # written just now
