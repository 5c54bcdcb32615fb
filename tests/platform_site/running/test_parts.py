"""An upload that is taken apart reads as Django reads it whole."""

import fcntl
import io
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import SuspiciousOperation
from django.core.files.uploadhandler import TemporaryFileUploadHandler
from django.http.multipartparser import MultiPartParser, MultiPartParserError
from django.test import RequestFactory
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from pytest_django import Settings

from platform_site import bodies
from platform_site.running.parts import Parts, boundary_of, new_part, remove_left_over

# Pieces that stand next to each other in bodies, right ones and wrong ones.
# A browser takes a boundary that no file contains.
CONTENT = (b"\r\n", b"\n", b"\r", b"-", b"b", b"a,1\n" * 50, b"\0\xff", b"X: y\r\n\r\n")
HEADS = (
    b'Content-Disposition: form-data; name="file"; filename="a.csv"',
    b"content-disposition: form-data; name=x; filename*=UTF-8''%C3%A4.csv"
    b"\r\nContent-Type: a; charset=b",
    b'Content-Disposition: form-data; name="filename"', b"Content-Type: text/csv",
    b'Content-Disposition: form-data; name="file"; filename=""', b"X: " + b"y" * 1100,
)  # fmt: skip
contents = (
    st.lists(st.sampled_from(CONTENT), max_size=6)
    .map(b"".join)
    .filter(lambda one: b"--b" not in one)
)
parts_of = st.tuples(st.sampled_from(HEADS), contents).map(
    lambda part: b"\r\n".join((b"--b", part[0], b"", part[1], b""))
)
bodies_of = st.tuples(
    contents,
    st.lists(parts_of, max_size=5).map(b"".join),
    st.sampled_from((b"--b--\r\n", b"", b"--b")),
)
WILD = (*CONTENT, *HEADS, b"--b", b"--b--", b"\r\n\r\n")
many = examples(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
FILE = b'--b\r\nContent-Disposition: form-data; name="%b"; filename="%b"\r\n\r\n%b\r\n'
FIELD = b'--b\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n'


@pytest.fixture(autouse=True)
def folder(settings: Settings, tmp_path: Path) -> Path:
    uploads = tmp_path / "uploads"
    uploads.mkdir()
    settings.FILE_UPLOAD_TEMP_DIR = str(uploads)
    return uploads


def taken_apart(body: bytes, size: int) -> tuple[Parts, io.BytesIO]:
    """As it arrives in pieces of this size."""
    rest = io.BytesIO()
    parts = Parts(b"b", rest.write)
    for start in range(0, len(body), size):
        parts.feed(body[start : start + size])
    parts.end()
    rest.seek(0)
    return parts, rest


def read(content: io.BytesIO, length: int) -> Any:
    """What Django's parser finds: the fields, and name, type, charset and bytes of the files."""
    request = RequestFactory().get("/")
    handlers = [bodies.ArrivedFiles(request), TemporaryFileUploadHandler(request)]
    meta = {"CONTENT_TYPE": "multipart/form-data; boundary=b", "CONTENT_LENGTH": str(length)}
    try:
        post, files = MultiPartParser(meta, content, handlers).parse()
    except (MultiPartParserError, SuspiciousOperation) as error:  # Django answers them with 400
        return type(error)
    found = [
        (name, file.name, file.content_type, file.charset, file.size, file.read())
        for name, of_name in files.lists()
        for file in of_name
    ]
    return dict(post.lists()), found


def read_apart(body: bytes, size: int) -> Any:
    parts, rest = taken_apart(body, size)
    token = bodies.given.set(bodies.Body(rest, parts.files))
    try:
        return read(rest, len(body))
    finally:
        bodies.given.reset(token)
        parts.close()


@many
@given(bodies_of.map(b"".join), st.integers(1, 200))
def test_any_body_in_any_pieces_reads_as_a_whole_one(body: bytes, size: int) -> None:
    assert read_apart(body, size) == read(io.BytesIO(body), len(body))


@many
@given(st.lists(st.sampled_from(WILD), max_size=14).map(b"".join), st.integers(1, 200))
def test_what_is_no_body_is_read_or_refused(body: bytes, size: int) -> None:
    read_apart(body, size)


@pytest.mark.parametrize("size", [1, 2, 7, 64, 65536])
def test_fields_and_files_come_out_as_they_went_in(size: int, folder: Path) -> None:
    rows = b"question,answer\r\n" + b"--a,\r\n--\r\n" * 300
    body = (
        FIELD % (b"name", b"mine")
        + FILE % (b"file", b"../one.csv", rows)
        + FILE % (b"file", b"none.csv", b"")
        + FIELD % (b"filename", b"0")
        + b"--b--\r\n"
    )
    fields, files = read_apart(body, size)
    assert fields == {"name": ["mine"], "filename": ["0"]}
    assert [(file[1], file[-1]) for file in files] == [("one.csv", rows), ("none.csv", b"")]
    assert list(folder.iterdir()) == []


def test_no_byte_of_a_file_is_in_the_rest() -> None:
    parts, rest = taken_apart(FILE % (b"file", b"a", b"x" * 100_000) + b"--b--", 4096)
    assert b"x" not in rest.read()
    assert Path(parts.files[0].name).stat().st_size == 100_000
    parts.close()


def test_more_files_than_a_form_may_have_are_not_made(settings: Settings) -> None:
    settings.DATA_UPLOAD_MAX_NUMBER_FILES = 2
    parts, rest = taken_apart(FILE % (b"file", b"a", b"x") * 5 + b"--b--", 4096)
    assert len(parts.files) == 2
    assert rest.read().count(b"filename") == 5  # Django refuses them
    parts.close()


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ("multipart/form-data; boundary=abc", b"abc"),
        ('multipart/form-data; boundary="a c"', b"a c"),
        ("multipart/form-data", None),
        ("multipart/form-data; boundary=\xe4", None),
        ("application/json; boundary=abc", None),
        ("", None),
    ],
)
def test_the_boundary_is_named_by_the_content_type(
    content_type: str, boundary: bytes | None
) -> None:
    assert boundary_of(content_type) == boundary


def test_what_a_killed_server_left_is_removed_and_what_arrives_is_not(folder: Path) -> None:
    (folder / "body-left.upload").write_bytes(b"x")
    (folder / "other").write_bytes(b"x")
    with new_part() as arriving:
        remove_left_over()
        assert {path.name for path in folder.iterdir()} == {Path(arriving.name).name, "other"}
        fcntl.flock(arriving, fcntl.LOCK_UN)
        remove_left_over()
        assert [path.name for path in folder.iterdir()] == ["other"]
        Path(arriving.name).touch()  # closing it removes it
