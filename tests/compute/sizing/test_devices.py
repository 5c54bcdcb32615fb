from datetime import UTC, datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from compute.sizing.devices import (
    Device,
    DeviceKind,
    Devices,
    Node,
    described,
    of_check,
    of_members,
    of_nodes,
    of_sample,
    of_user,
)

NOW = datetime(2026, 11, 28, 8, 0, tzinfo=UTC)
EARLIER = datetime(2026, 11, 28, 7, 0, tzinfo=UTC)
H100 = 85_520_809_984
SAMPLE = {"cpu_percent": 3.0, "gpus": [
    {"index": 0, "name": "H100", "memory_total": H100, "util_percent": 7},
    {"index": 1, "name": "H100", "memory_total": None},
]}  # fmt: skip
CHECK = {"gpus": {"data": {
    "gpus": [{"index": 0, "name": "H100", "memory": H100, "driver": "570"}], "cards": 1,
}}}  # fmt: skip


def test_of_a_sample() -> None:
    found = of_sample(SAMPLE, NOW)
    assert found == Devices((Device(0, "H100", H100), Device(1, "H100")), (), "sample", NOW)
    assert (found.count, found.indices, found.per_node) == (2, frozenset({0, 1}), [2])
    assert found.kinds == [DeviceKind("H100", H100, 1), DeviceKind("H100", None, 1)]
    assert of_sample({"gpus": []}, NOW) == Devices((), (), "sample", NOW)
    assert of_sample({"cpu_percent": 3.0}, NOW) is None


def test_of_a_check() -> None:
    assert of_check(CHECK, NOW) == Devices((Device(0, "H100", H100),), (), "check", NOW)
    none = {"gpus": {"data": {"gpus": [], "cards": 0}}}
    assert of_check(none, NOW) == Devices((), (), "check", NOW)


def test_of_a_check_that_could_not_look() -> None:
    hidden = {"gpus": {"data": {"gpus": [], "cards": 8, "why": "there is no nvidia-smi"}}}
    assert of_check(hidden, NOW) is None
    assert of_check({"gpus": {"error": "it took too long"}}, NOW) is None
    assert of_check({}, NOW) is None


def test_of_the_nodes_of_a_cluster() -> None:
    found = of_nodes([{"name": "10.0.0.1", "gpus": 1}, {"name": "10.0.0.2", "gpus": 2}], NOW)
    assert found == Devices(
        (Device(0, node="10.0.0.1"), Device(1, node="10.0.0.2"), Device(2, node="10.0.0.2")),
        (Node("10.0.0.1", 1), Node("10.0.0.2", 2)), "nodes", NOW,
    )  # fmt: skip
    assert found.per_node == [1, 2]
    on_the_cpu = of_nodes([{"name": "10.0.0.1", "gpus": 0}], NOW)
    assert on_the_cpu == Devices((), (Node("10.0.0.1", 0),), "nodes", NOW)
    assert of_nodes([], NOW) is None


def test_what_the_user_says_is_named_by_what_was_measured() -> None:
    one = described(of_user(1), of_sample(SAMPLE, NOW))
    assert one == Devices((Device(0, "H100", H100),), (), "user", None)
    three = described(of_user(3), of_sample(SAMPLE, NOW))
    assert three.names == {0: "H100", 1: "H100", 2: ""}
    assert described(of_user(2), None) == of_user(2)


def test_of_machines_together() -> None:
    found = of_members([("a", of_sample(SAMPLE, NOW)), ("b", of_check(CHECK, EARLIER))])
    assert found == Devices(
        (Device(0, "H100", H100, "a"), Device(1, "H100", None, "a"), Device(0, "H100", H100, "b")),
        (Node("a", 2), Node("b", 1)), "members", EARLIER,
    )  # fmt: skip
    assert of_members([("a", of_user(1)), ("b", None)]) is None
    assert of_members([]) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner),
    max_leaves=10,
)
GPU = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("index", "name", "memory", "memory_total", "node"), JSON)
)


@given(st.lists(GPU | JSON, max_size=4), JSON, JSON)
@settings(deadline=None)
def test_junk_is_no_device(gpus: list[Any], cards: Any, other: Any) -> None:
    of_check({"gpus": {"data": {"gpus": gpus, "cards": cards}}}, NOW)
    for found in (of_sample({"gpus": gpus}, NOW), of_nodes([{"gpus": cards, "name": other}], NOW)):
        assert found is not None
        assert all(0 <= index < 1024 for index in found.indices)
    for junk in (other, {"gpus": other}, {"gpus": {"data": other}}):
        of_check(junk, NOW)
