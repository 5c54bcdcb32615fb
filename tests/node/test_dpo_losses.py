"""The preference losses against numbers worked out by hand, and their gradients."""

import pytest
import torch
from trainyard_node.dpo.losses import Answers, Objective, pair_losses
from trainyard_node.dpo.sequences import answers_of

CHOSEN, REJECTED = [1.0, -0.5], [-2.0, 0.5]
CHOSEN_TOKENS, REJECTED_TOKENS = [2.0, 4.0], [1.0, 5.0]


@pytest.mark.parametrize(
    ("objective", "losses", "gradients"),
    [
        (Objective("sigmoid", 0.5), [0.20141328, 0.97407698], [-0.09121276, -0.31122967]),
        (
            Objective("sigmoid", 0.5, label_smoothing=0.1),
            [0.35141328, 0.92407698],
            [-0.04121276, -0.26122967],
        ),
        (
            Objective("sigmoid", 0.5, length_normalize=True),
            [0.25192931, 0.75097833],
            [-0.05567503, -0.06601189],
        ),
        (
            Objective("robust", 0.5, label_smoothing=0.1),
            [0.01391328, 1.03657698],
            [-0.15371276, -0.37372967],
        ),
        (Objective("robust", 0.5), [0.20141328, 0.97407698], [-0.09121276, -0.31122967]),
        (Objective("hinge", 0.5), [0.0, 1.5], [0.0, -0.5]),
        (Objective("ipo", 0.5), [2.25, 1.500625], [1.5, -0.6125]),
    ],
)
def test_losses(objective: Objective, losses: list[float], gradients: list[float]) -> None:
    chosen = torch.tensor(CHOSEN, requires_grad=True)
    found = pair_losses(
        objective,
        Answers(chosen, torch.tensor(CHOSEN_TOKENS)),
        Answers(torch.tensor(REJECTED), torch.tensor(REJECTED_TOKENS)),
    )
    found.sum().backward()
    torch.testing.assert_close(found.detach(), torch.tensor(losses), rtol=0, atol=1e-6)
    torch.testing.assert_close(chosen.grad, torch.tensor(gradients), rtol=0, atol=1e-6)


def test_ipo_is_at_its_least_where_the_paper_puts_it() -> None:
    """At a margin of 1 / (2 tau), whatever the lengths: 5 a token here."""
    chosen = Answers(torch.tensor([40.0]), torch.tensor([8.0]))
    rejected = Answers(torch.tensor([0.0]), torch.tensor([3.0]))
    assert pair_losses(Objective("ipo", 0.1), chosen, rejected).tolist() == [0.0]


def test_extreme_margins_stay_finite() -> None:
    one = torch.ones(2)
    for name in ("sigmoid", "robust"):
        found = pair_losses(
            Objective(name, 1.0, label_smoothing=0.1),
            Answers(torch.tensor([1e4, -1e4]), one),
            Answers(torch.zeros(2), one),
        )
        assert torch.isfinite(found).all()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"loss_type": "kto"}, "known: sigmoid, ipo, hinge, robust"),
        ({"beta": 0.0}, "above 0"),
        ({"beta": float("nan")}, "above 0"),
        ({"label_smoothing": 0.5}, "below 0.5"),
        ({"loss_type": "ipo", "label_smoothing": 0.1}, "sigmoid and robust do"),
    ],
)
def test_settings_that_make_no_loss_are_refused(settings: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Objective(**settings)  # type: ignore[arg-type]


def test_log_probabilities_of_answers() -> None:
    """Entry t belongs to token t + 1: an answer's first token is scored by the entry before it."""
    log_probs = torch.nested.nested_tensor_from_jagged(
        torch.tensor([-1.0, -2.0, -4.0, -8.0, -16.0, -32.0, -64.0]), torch.tensor([0, 4, 7])
    )
    mask = torch.nested.nested_tensor_from_jagged(
        torch.tensor([0, 0, 1, 1, 0, 1, 1]), torch.tensor([0, 4, 7])
    )
    found = answers_of(log_probs, mask)
    assert found.log_prob.tolist() == [-6.0, -48.0]
    assert found.tokens.tolist() == [2.0, 2.0]


def test_an_answer_does_not_leak_into_the_row_before_it() -> None:
    """A row that begins with an answer's token: nothing predicts that one."""
    offsets = torch.tensor([0, 2, 4])
    log_probs = torch.nested.nested_tensor_from_jagged(torch.tensor([-1.0, -2, -4, -8]), offsets)
    mask = torch.nested.nested_tensor_from_jagged(torch.tensor([0, 1, 1, 1]), offsets)
    found = answers_of(log_probs, mask)
    assert found.log_prob.tolist() == [-1.0, -4.0]
    assert found.tokens.tolist() == [1.0, 1.0]
