"""Which side of a metric is the better one."""

import pytest

from jobs.verl.better import is_best_higher, is_higher_better


@pytest.mark.parametrize(
    ("name", "higher"),
    [
        ("perf/throughput", True),
        ("critic/vf_explained_var", True),
        ("timing_s/step", False),
        ("val-core/openai/gsm8k/acc/mean@1", True),
        ("actor/pg_loss", None),
        ("timing_s/reward", None),
        ("timing_per_token_ms/reward", None),
        ("val/rewards/rejected", None),
        ("val/rewards/chosen", True),
        ("eval/arc/acc_stderr", None),
        ("eval/sums@1:abc-def/arc/brier_score/lower", False),
        ("eval/sums@1:abc-def/arc/errors_found/higher", True),
        ("actor/score/lower", True),
    ],
)
def test_a_side_is_known_by_words_or_by_name(name: str, higher: bool | None) -> None:
    assert is_higher_better(name) is higher
    assert is_best_higher(name) is higher


def test_a_run_is_not_at_its_best_where_it_did_not_drift() -> None:
    assert is_higher_better("actor/ppo_kl") is False  # of two checkpoints
    assert is_best_higher("actor/ppo_kl") is None
