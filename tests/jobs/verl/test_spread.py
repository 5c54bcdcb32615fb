"""How a run lies on the nodes of a cluster."""

import pytest

from jobs.process import Placement, Spread
from jobs.verl.command import build_command
from jobs.verl.spread import spread_over
from tests.factories import grpo_spec, sft_spec

CLUSTER = Placement("/runs/1", "python", "tiny", devices=(0, 1, 2, 3), spread=Spread(2, 2))


@pytest.mark.parametrize(
    ("gpus", "nodes", "spread"),
    [
        (1, [1], Spread(1, 1)),
        (8, [8, 8], Spread(1, 8)),
        (16, [8, 8], Spread(2, 8)),
        (12, [8, 8], Spread(2, 6)),
        (6, [4, 2, 2], Spread(3, 2)),
        (8, [8, 4, 4], Spread(1, 8)),
    ],
)
def test_the_fewest_nodes_that_divide_it(gpus: int, nodes: list[int], spread: Spread) -> None:
    assert spread_over("grpo", gpus, nodes) == spread


@pytest.mark.parametrize(("gpus", "nodes"), [(7, [4, 4]), (1, []), (9, [8, 1]), (4, [1, 1, 1])])
def test_what_cannot_lie_evenly_is_refused(gpus: int, nodes: list[int]) -> None:
    with pytest.raises(ValueError, match="cannot be taken evenly"):
        spread_over("ppo", gpus, nodes)


def test_torchrun_stays_on_one_node() -> None:
    assert spread_over("sft", 4, [4, 4]) == Spread(1, 4)
    with pytest.raises(ValueError, match=r"on one node: none has 8 devices \(4, 4\)"):
        spread_over("sft", 8, [4, 4])


def test_the_cluster_hands_out_its_devices() -> None:
    command = build_command(grpo_spec(device="cuda", gpus=4), CLUSTER, {})
    assert "trainer.nnodes=2" in command.argv
    assert "trainer.n_gpus_per_node=2" in command.argv
    assert "CUDA_VISIBLE_DEVICES" not in command.env


def test_a_cluster_that_is_there_is_not_given_its_size() -> None:
    argv = build_command(grpo_spec(gpus=4), CLUSTER, {}).argv
    assert not [part for part in argv if "ray_init" in part]
    own = build_command(grpo_spec(gpus=4), Placement("/runs/1", "python", "tiny"), {}).argv
    assert "+ray_kwargs.ray_init.num_gpus=4" in own


def test_torchrun_starts_what_its_node_has() -> None:
    placement = Placement("/runs/1", "python", "tiny", spread=Spread(1, 4))
    assert "--nproc_per_node=4" in build_command(sft_spec(gpus=4), placement, {}).argv
