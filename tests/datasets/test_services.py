from pathlib import Path
from typing import TypeVar

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile

from datasets import services, working
from datasets.formats.columns import ColumnMapping
from datasets.formats.splitting import Split
from datasets.models import Dataset, Report, Source, Version
from datasets.services import DatasetError
from platform_site.work import verbs
from platform_site.work.models import State
from tests import factories

pytestmark = pytest.mark.django_db
QA = ColumnMapping(
    "rl", "question_answer", {"question": "q", "answer": "a"}, {"data_source": "openai/gsm8k"}
)


@pytest.fixture
def source(home: Path, user: User) -> Source:
    """Twenty questions, imported."""
    rows = [{"q": f"{n}+1=?", "a": f"so #### {n + 1}"} for n in range(20)]
    path = factories.write_lines(home / "rows.jsonl", rows)
    return done(services.import_path(services.create("sums", user), str(path), user))


W = TypeVar("W", Source, Version, Report)


def done(work: W) -> W:
    assert working.work_off(work)
    work.refresh_from_db()
    return work


def test_registered_again_is_the_same_version(home: Path) -> None:
    path = str(factories.write_sft_rows(home / "a.parquet", 5))
    first = services.register("sums", "sft", path, path)
    assert (first.rows_train, first.label, first.is_done) == (5, "sums@1", True)
    assert services.register("sums", "sft", path, path, is_sample=True).pk == first.pk
    assert Dataset.objects.count() == 1


def test_a_file_that_is_not_there_is_not_registered(home: Path) -> None:
    with pytest.raises(ValueError, match="There is no file"):
        services.register("sums", "sft", str(home / "none"), str(home / "none"))
    assert Version.objects.count() == 0


def test_from_a_file_to_a_version(source: Source, user: User) -> None:
    assert (source.state, source.rows, source.facts["bad"]) == (State.DONE, 20, 0)
    assert len(source.sha256) == 64
    version = done(services.compile_version(source, QA, Split(0.25, 1), user))
    assert (version.state, version.rows_train, version.rows_val) == (State.DONE, 15, 5)
    assert version.label == "sums@1"
    assert version.source == source
    assert Path(version.train_file).is_file()
    report = done(services.check(version, "", None, user))
    assert report.data["rows_train"] == 15


def test_compiled_twice_is_one_version(source: Source, user: User) -> None:
    first = services.compile_version(source, QA, Split(0.25, 1), user)
    assert services.compile_version(source, QA, Split(0.25, 1), user) == first
    assert services.compile_version(source, QA, Split(0.25, 2), user) != first


def test_cleaning_makes_a_further_version(home: Path, user: User) -> None:
    rows = [{"q": f"{n % 15}+1=?", "a": f"#### {n % 15 + 1}"} for n in range(20)]
    path = factories.write_lines(home / "rows.jsonl", rows)
    source = done(services.import_path(services.create("twice", user), str(path), user))
    first = done(services.compile_version(source, QA, Split(0.2, 1), user))
    second = done(services.clean(first, ["duplicate"], user))
    assert (second.number, second.parent, second.rows_removed) == (2, first, 5)
    assert second.removed_file.is_file()
    assert (second.rows_train or 0) + (second.rows_val or 0) == 15
    first.refresh_from_db()
    assert (first.rows_train or 0) + (first.rows_val or 0) == 20


def test_work_is_done_once(source: Source, user: User) -> None:
    version = services.compile_version(source, QA, Split(0.25, 1), user)
    assert working.work_off(version)
    assert not working.work_off(version)


def test_what_cannot_be_imported_says_why_and_can_be_tried_again(home: Path, user: User) -> None:
    path = factories.write_lines(home / "rows.jsonl", ["nonsense"])
    source = done(services.import_path(services.create("bad", user), str(path), user))
    assert source.state == State.FAILED
    assert "JSON" in source.error
    assert not source.folder.exists()
    factories.write_lines(path, [{"q": "1+1", "a": "2"}])
    assert services.retry(source, user)
    assert done(source).state == State.DONE


def test_a_fault_of_ours_ends_the_work_too(
    source: Source, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*args: object, **options: object) -> None:
        raise KeyError("oh")

    monkeypatch.setattr("datasets.formats.compile.compile_version", fails)
    version = done(services.compile_version(source, QA, Split(0.25, 1), user))
    assert version.state == State.FAILED
    assert "work.log" in version.error


def test_waiting_work_is_cancelled_at_once(source: Source, user: User) -> None:
    version = services.compile_version(source, QA, Split(0.25, 1), user)
    assert services.cancel(version)
    assert not working.work_off(version)
    version.refresh_from_db()
    assert version.state == State.CANCELLED


def test_an_upload_is_kept_imported_and_then_removed(home: Path, user: User) -> None:
    upload = SimpleUploadedFile("../../rows.jsonl", b'{"q": "1+1", "a": "2"}\n')
    source = services.import_upload(services.create("up", user), upload, user)
    assert (source.name, Path(source.path).is_file()) == ("rows.jsonl", True)
    kept = source.path
    assert done(source).state == State.DONE
    assert not Path(kept).exists()


def test_an_upload_onto_a_full_disk_leaves_nothing(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(services, "_keep", full)
    with pytest.raises(DatasetError, match="No space left on device"):
        services.import_upload(
            services.create("up", user), SimpleUploadedFile("rows.jsonl", b"{}"), user
        )
    assert Source.objects.count() == 0


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/etc/passwd", "outside the allowed folders"),
        ("relative.jsonl", "is not a whole path: it begins with /"),
        ("/proc/self/environ", "outside the allowed folders"),
    ],
)
def test_a_path_outside_the_allowed_folders(user: User, path: str, words: str) -> None:
    with pytest.raises(DatasetError, match=words):
        services.import_path(services.create("x", user), path, user)


def test_rows_of_somebody_elses_run(home: Path, user: User, other: User, staff: User) -> None:
    path = factories.write_lines(
        Path(factories.make_job(other).run_dir) / "rollouts/1.jsonl", [{"q": "1", "a": "2"}]
    )
    dataset = services.create("x", user)
    for who in (user, None):
        with pytest.raises(DatasetError, match="There is no run of yours at"):
            services.import_path(dataset, str(path), who)
    for who in (other, staff):
        assert services.import_path(dataset, str(path), who).path == str(path)


def test_what_cannot_be_imported_is_said_at_once(home: Path, user: User) -> None:
    dataset = services.create("x", user)
    (home / "notes.txt").write_text("hello\n")
    (home / "saved").mkdir()
    (home / "saved/state.json").write_text("{}")
    for name, words in (("notes.txt", "Plain text has no rows"), ("saved", "save_to_disk")):
        with pytest.raises(DatasetError, match=words):
            services.import_path(dataset, str(home / name), user)
    upload = SimpleUploadedFile("notes.txt", b"hello\n")
    with pytest.raises(DatasetError, match="Plain text has no rows"):
        services.import_upload(dataset, upload, user)
    assert Source.objects.count() == 0
    assert [path for path in dataset.folder.rglob("*") if path.is_file()] == []


def test_the_encoding_is_kept_for_the_import(user: User) -> None:
    upload = SimpleUploadedFile("a.csv", "q,a\ncafé,1\n".encode("cp1252"))
    source = services.import_upload(services.create("x", user), upload, user, "cp1252")
    assert done(source).state == State.DONE
    assert (source.rows, source.facts["bad"]) == (1, 0)


def test_a_name_is_taken_once(user: User) -> None:
    services.create("sums", user)
    with pytest.raises(DatasetError, match="already"):
        services.create("sums", user)


def test_find_version(home: Path) -> None:
    dataset = factories.make_dataset(name="a@b")
    first = factories.make_version(dataset=dataset)
    second = factories.make_version(dataset=dataset, target="rl")
    factories.make_version(dataset=dataset, state=State.WORKING)
    assert services.find_version("a@b") == second
    assert services.find_version("a@b@1") == first
    with pytest.raises(ValueError, match="that is ready"):
        services.find_version("a@b@3")
    with pytest.raises(ValueError, match=r"holds Conversations \(SFT\); this run reads Prompts"):
        services.find_version("a@b@1", "rl")


def test_what_a_run_names_stays(source: Source, user: User) -> None:
    version = done(services.compile_version(source, QA, Split(0.25, 1), user))
    job = factories.make_job(user, dataset_version=version)
    with pytest.raises(DatasetError, match="named by runs"):
        services.delete_version(version)
    with pytest.raises(DatasetError, match="Runs name a version"):
        services.delete(version.dataset)
    job.delete()
    services.delete(version.dataset)
    assert Dataset.objects.count() == 0
    assert not version.dataset.folder.exists()


def test_silent_work_is_started_again_and_living_work_is_not(source: Source, user: User) -> None:
    version = services.compile_version(source, QA, Split(0.25, 1), user)
    assert verbs.claim(version)
    assert not services.retry(version, user)
    Version.objects.update(beat_at="2020-01-01T00:00:00Z")
    assert services.retry(version, user)
    assert done(version).state == State.DONE
