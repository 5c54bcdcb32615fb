import pytest

from compute.runners.ssh.workdir import resolve
from tests.compute.runners import hostile

HOME = "/home/ada"


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("~", "/home/ada"),
        ("~/my runs", "/home/ada/my runs"),
        ("~/", "/home/ada"),
        ("/data//x/./y/", "/data/x/y"),
        ("//data", "/data"),
        ('/it\'s/"$HOME"\n', '/it\'s/"$HOME"\n'),
        ("/größe 🚂", "/größe 🚂"),
        ("/data/~", "/data/~"),
        ("/data/..x", "/data/..x"),
    ],
)
def test_a_folder(text: str, path: str) -> None:
    assert resolve(text, HOME) == path


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("  ", "is empty"),
        ("/", "must not be /"),
        ("//", "must not be /"),
        ("/./", "must not be /"),
        ("~/../..", r"must not have a \.\."),
        ("/data/../etc", r"must not have a \.\."),
        ("~root", "~root is another user's home"),
        ("~root/x", "~root is another user's home"),
        ("runs", "must begin with / or ~/"),
        ("./runs", "must begin with / or ~/"),
        (" ~/runs", "must begin with / or ~/"),
        ("/a\0b", "zero byte"),
    ],
)
def test_a_folder_that_is_refused(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        resolve(text, HOME)


@pytest.mark.parametrize("name", hostile.FOLDERS)
def test_a_hostile_name_stays_as_it_is(name: str) -> None:
    assert resolve(f"~/{name}/x", HOME) == f"/home/ada/{name}/x"


def test_a_home_that_is_the_root_is_no_work_folder() -> None:
    with pytest.raises(ValueError, match="must not be /"):
        resolve("~", "/")
