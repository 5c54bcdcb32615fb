import pytest

from jobs.verl.knobs import BY_NAME
from jobs.verl.trackers import TRACKERS, asked_by, trackers_of
from tests.factories import sft_spec


def names(*overrides: str, **values: str) -> list[str]:
    return [tracker.name for tracker in trackers_of(sft_spec(*overrides, **values))]


def test_a_run_asks_for_none_by_itself() -> None:
    assert names() == []


def test_the_knob_names_them() -> None:
    assert names(loggers="wandb,tensorboard") == ["wandb", "tensorboard"]
    assert asked_by(sft_spec(loggers="wandb")) == "loggers"


def test_a_free_override_of_verls_key_wins() -> None:
    override = "trainer.logger=[console,file,mlflow]"
    assert names(override, loggers="wandb") == ["mlflow"]
    assert asked_by(sft_spec(override)) == "overrides"


def test_each_tracker_of_the_form_is_known() -> None:
    assert set(BY_NAME["loggers"].choices) == set(TRACKERS)


@pytest.mark.parametrize(
    ("tracker", "given", "missing"),
    [
        ("wandb", {}, "WANDB_API_KEY"),
        ("wandb", {"WANDB_API_KEY": "k"}, None),
        ("wandb", {"WANDB_MODE": "offline"}, None),
        ("wandb", {"WANDB_MODE": "online"}, "WANDB_API_KEY"),
        ("tensorboard", {}, None),
        ("mlflow", {}, "MLFLOW_TRACKING_URI"),
        ("mlflow", {"MLFLOW_TRACKING_TOKEN": "t"}, "MLFLOW_TRACKING_URI"),
        ("swanlab", {}, "SWANLAB_API_KEY"),
        ("swanlab", {"SWANLAB_MODE": "local"}, None),
        ("swanlab", {"SWANLAB_MODE": "cloud"}, "SWANLAB_API_KEY"),
        ("trackio", {}, None),
        ("trackio", {"TRACKIO_SPACE_ID": "a/b"}, "HF_TOKEN"),
        ("trackio", {"TRACKIO_SPACE_ID": "a/b", "HF_TOKEN": "t"}, None),
    ],
)
def test_what_a_tracker_cannot_do_without(
    tracker: str, given: dict[str, str], missing: str | None
) -> None:
    assert TRACKERS[tracker].missing(given) == missing


def test_what_must_not_be_read_in_a_log() -> None:
    hidden = {v.name for tracker in TRACKERS.values() for v in tracker.variables if v.secret}
    assert hidden == {
        "WANDB_API_KEY",
        "MLFLOW_TRACKING_PASSWORD",
        "MLFLOW_TRACKING_TOKEN",
        "SWANLAB_API_KEY",
        "HF_TOKEN",
    }
    address = TRACKERS["mlflow"].variables[0]
    assert address.must_hide("https://ada:pass@mlflow.example")
    assert not address.must_hide("https://mlflow.example")
    assert [TRACKERS["wandb"].variables[0].must_hide(key) for key in ("12345", "123456")] == [
        False,
        True,
    ]
