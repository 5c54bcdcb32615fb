import pytest

from compute.runners.samples import clean_run_sample, clean_sample

GOOD = {
    "cpu_percent": 12.5,
    "memory_used": 1,
    "memory_total": 2,
    "disk_used": 3,
    "disk_total": 4,
    "gpus": [],
}
GPU = {
    "index": 0,
    "name": "H100",
    "util_percent": 50,
    "memory_used": 7,
    "memory_total": 9,
    "temperature_c": 40,
    "power_w": 300.5,
}


def test_a_sample_stays_as_it_is() -> None:
    assert clean_sample(GOOD | {"gpus": [GPU]}) == GOOD | {"gpus": [GPU]}


def test_what_nobody_asked_for_is_left_out() -> None:
    assert clean_sample(GOOD | {"at": "x", "more": {}}) == GOOD


@pytest.mark.parametrize("told", [None, [], "x", {}, GOOD | {"cpu_percent": "12"}])
def test_what_is_no_sample_is_refused(told: object) -> None:
    with pytest.raises(ValueError, match="figures"):
        clean_sample(told)


@pytest.mark.parametrize("value", [10**400, -1, float("nan"), float("inf"), True, None, [], {}])
def test_a_figure_beyond_all_bounds_is_none(value: object) -> None:
    with pytest.raises(ValueError, match="missing"):
        clean_sample(GOOD | {"disk_total": value})
    [gpu] = clean_sample(GOOD | {"gpus": [GPU | {"power_w": value}]})["gpus"]
    assert gpu == GPU | {"power_w": None}


@pytest.mark.parametrize("index", [None, "0", [], -1, 10**9, 1.5])
def test_a_gpu_without_a_number_is_left_out(index: object) -> None:
    assert clean_sample(GOOD | {"gpus": [GPU | {"index": index}, 5, GPU]})["gpus"] == [GPU]


def test_a_name_is_one_line_of_its_own_length() -> None:
    told = GOOD | {"gpus": [GPU | {"name": "a\x1b[31m\ud800\n" + "b" * 500}]}
    assert clean_sample(told)["gpus"][0]["name"] == "a[31m?" + "b" * 94


def test_a_runs_own_sample_has_what_it_has() -> None:
    told = {"cpu_percent": 5, "process_memory": 7, "power_w": None, "x": "y", "gpus": [GPU, 5]}
    kept = {"cpu_percent": 5, "process_memory": 7, "gpus": [GPU]}
    assert clean_run_sample(told) == kept
    assert clean_run_sample({"cpu_percent": None}) == {"cpu_percent": None}


@pytest.mark.parametrize(
    "told",
    [{}, {"x": 1}, {"gpus": "notalist"}, {"cpu_percent": "5"}, {"memory_used": -1}, {"gpus": None}],
)
def test_a_line_of_a_run_that_is_no_sample_is_refused(told: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"figure|list"):
        clean_run_sample(told)
