from jobs.verl.resumable import refusal
from tests import factories


def test_a_run_can_be_asked_to_save() -> None:
    assert refusal(factories.sft_spec()) == ""
    assert refusal(factories.grpo_spec(save_contents="model,optimizer,extra,hf_model")) == ""


def test_older_releases_have_no_place_for_the_hook() -> None:
    spec = factories.spec_of("grpo", verl="0.8.0")
    assert refusal(spec) == "verl 0.8.0 saves at its own times only: pausing needs verl 0.9.1."


def test_a_checkpoint_without_the_optimizer_is_no_place_to_go_on_from() -> None:
    said = refusal(factories.sft_spec(save_contents="model,hf_model"))
    assert said == "Its checkpoints leave out optimizer, extra: it could not go on from one."
