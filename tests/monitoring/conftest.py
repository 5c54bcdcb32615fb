"""A far machine behind a real sshd, as the runners' own tests have it."""

from tests.compute.runners.conftest import (
    far,
    far_account,
    far_folder,
    own_sshd,
    small_disk,
    sshd,
)

__all__ = ["far", "far_account", "far_folder", "own_sshd", "small_disk", "sshd"]
