import pytest

from jobs.verl.promise import planned_steps


@pytest.mark.parametrize(
    ("texts", "steps"),
    [
        ([], None),
        (["nothing of the kind"], None),
        (["Total training steps: 64"], 64),
        (["INFO:2026-01-01:Total training steps: 64,"], 64),
        (["Total training steps: 64", "later", "Total training steps: 32"], 32),
        (["Training Progress:  12%|█▎        | 2/16 [00:04<00:28,  2.02s/it]"], 16),
        (["Training Progress:   0%|          | 0/16 [00:00<?, ?it/s]\rTraining Progress:"], 16),
        (["Epoch 1/2:  50%|█████     | 16/32 [00:10<00:10,  1.52it/s]"], None),
        (["Total training steps: 99999999999999999999"], None),
    ],
)
def test_promise(texts: list[str], steps: int | None) -> None:
    assert planned_steps(texts) == steps
