"""The filter on the list: what it finds, and what it answers when it cannot be read."""

import html
from datetime import timedelta
from urllib.parse import urlencode

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from jobs.listing import marks
from jobs.listing.language.reading import MOST_METRICS
from jobs.models import Job
from monitoring.store.figures import StoredFigures
from tests import factories
from tests.pages import HTMX, asks_for_login, queries, refuses_other_methods

pytestmark = pytest.mark.backends
SCORE = "val-core/gsm8k/acc/mean@1"


@pytest.fixture
def jobs(user: User) -> dict[str, Job]:
    """``fast`` and ``slow`` are GRPO with scores; ``plain`` is SFT, and has a loss."""
    now = timezone.now()
    fast, slow = (
        factories.make_job(
            user, name=name, kind="grpo", spec=factories.grpo_spec(lr=lr, **more).to_json(),
            status="completed", started_at=now - timedelta(hours=hours), ended_at=now,
        )
        for name, lr, hours, more in (
            ("fast", 1e-4, 3, {"use_kl_loss": True}), ("slow", 1e-6, 1, {"use_kl_loss": False}),
        )
    )  # fmt: skip
    plain = factories.make_job(user, name="plain", status="queued", held_at=now, step=7)
    factories.add_points(fast, SCORE, {1: 0.9, 2: 0.3})
    factories.add_points(slow, SCORE, {1: 0.1, 2: 0.5})
    factories.add_points(slow, "val-core/math/acc/mean@1", {1: 0.95, 2: 0.05})
    factories.add_points(plain, "train/loss", {1: 2.0, 2: float("nan")})
    marks.tag(fast, ["good", "paper"])
    marks.note(slow, "the seed was wrong")
    marks.pin(slow, user, on=True)
    Job.objects.filter(pk=plain.pk).update(created_at=now - timedelta(days=9))
    return {"fast": fast, "slow": slow, "plain": plain}


def found(page: Client, where: str, **more: str) -> set[str]:
    answer = page.get(f"/jobs/?{urlencode({'where': where, **more})}")
    assert answer.status_code == 200, where
    return {name for name in ("fast", "slow", "plain") if f">{name}</a>" in answer.content.decode()}


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("algorithm = grpo and lr < 1e-5 and val-core > 0.4", "slow"),
        ("algorithm = grpo", "fast slow"),
        ("kind != grpo", "plain"),
        ("kind in (sft, ppo)", "plain"),
        ("lr = 1e-4", "fast"),
        ("lr = 0.0001", "fast"),
        ("lr in (1e-4, 1e-6)", "fast slow"),
        ("not lr < 1e-5", "fast plain"),
        ("rollout_n = 8", "fast slow"),
        ("rollout_n != 8", "plain"),  # a job without the knob is not 8
        ("not rollout_n > 100", "fast slow plain"),
        ("not (rollout_n > 100 or rollout_n <= 100)", "plain"),
        ("use_kl_loss = yes", "fast"),
        ("use_kl_loss = no", "slow"),
        ("use_kl_loss != yes", "slow plain"),
        ("model ~ TINY", "fast slow plain"),
        ("model_path = /models/tiny", "fast slow plain"),
        ("model !~ tiny", ""),
        ("engine = hf", "fast slow"),
        ("val-core > 0.4", "slow"),
        ("val-core < 0.1", "slow"),  # on the other data set
        (f"{SCORE} > 0.4", "slow"),
        ("best(val-core) > 0.8", "fast slow"),
        (f"best({SCORE}) > 0.8", "fast"),
        (f"low({SCORE}) < 0.2", "slow"),
        ("not val-core > 0", "plain"),
        ("train/loss > 0", ""),  # its last value is not a number
        ("high(train/loss) = 2", "plain"),
        ("val-core in (0.3, 0.5, 7)", "fast slow"),
        ("low(val-core) in (0.05)", "slow"),
        ("best(val-core) in (0.9, 0.95)", "fast slow"),
        ("not val-core in (0.3, 7)", "slow plain"),
        ("val-core != 0.3", "slow plain"),
        ("status = held", "plain"),
        ("status = queued", ""),
        ("status in (completed, held)", "fast slow plain"),
        ("step > 3", "plain"),
        ("step = 3.5", ""),
        ("step < 1e300", "fast slow plain"),
        ("tag = good", "fast"),
        ("tag = GOOD and tag = paper", "fast"),
        ("tag != good", "slow plain"),
        ("tag ~ aper", "fast"),
        ('note ~ "seed was"', "slow"),
        ("pinned = yes", "slow"),
        ("pinned != yes", "fast plain"),
        ("created > 7d", "fast slow"),
        ("created < 2020-01-01", ""),
        ("duration > 2h", "fast"),
        ("not duration > 2h", "slow plain"),
        ("owner = ada", "fast slow plain"),
        ("sample = no", "fast slow plain"),
        ("priority = normal", "fast slow plain"),
        ("data = x", ""),
        ("verl ~ 0.9", "fast slow plain"),
        ("id > 0", "fast slow plain"),
        ("name = FAST", "fast"),
        ('name ~ "\'; drop"', ""),
        ("name ~ %", ""),
    ],
)
def test_finds(page: Client, jobs: dict[str, Job], where: str, expected: str) -> None:
    assert found(page, where) == set(expected.split())


def test_all_the_filters_go_together(page: Client, jobs: dict[str, Job]) -> None:
    assert found(page, "lr > 0", q="fas", status="completed", kind="grpo") == {"fast"}
    assert found(page, "lr > 0", status="failed") == set()


def test_only_the_jobs_that_a_user_sees(page: Client, jobs: dict[str, Job], other: User) -> None:
    Job.objects.filter(pk=jobs["fast"].pk).update(owner=other)
    assert found(page, "algorithm = grpo") == {"slow"}
    assert found(page, "not algorithm = grpo") == {"plain"}


def test_another_ones_pin_is_none(page: Client, jobs: dict[str, Job], other: User) -> None:
    marks.pin(jobs["fast"], other, on=True)
    assert found(page, "pinned = yes") == {"slow"}


@pytest.mark.parametrize("headers", [{}, HTMX])
def test_a_filter_that_cannot_be_read_says_where(
    page: Client, jobs: dict[str, Job], headers: dict[str, str]
) -> None:
    where = "algorithm = gpro and <b>"
    answer = page.get(f"/jobs/?{urlencode({'where': where})}", headers=headers)
    content = answer.content.decode()
    assert answer.status_code == 422
    assert "algorithm = <mark>gpro</mark> and &lt;b&gt;" in content
    assert "<code>grpo</code>" in content
    assert ">fast</a>" not in content
    if not headers:
        assert f'value="{html.escape(where)}"' in content


@pytest.mark.parametrize("where", ["x" * 2000, "\0", "((((", "🙂 = 1"])
def test_junk_is_refused(page: Client, db: None, where: str) -> None:
    expected = 200 if where == "\0" else 422
    assert page.get(f"/jobs/?{urlencode({'where': where})}").status_code == expected


@pytest.mark.parametrize(
    "where",
    [
        "created > 1000000d",
        'created > "0001-01-01T00:00+14:00"',
        'created < "9999-12-31T23:59-14:00"',
        "duration > 200000000d",
    ],
)
def test_times_that_no_database_takes_are_refused(page: Client, db: None, where: str) -> None:
    answer = page.get(f"/jobs/?{urlencode({'where': where})}")
    assert answer.status_code == 422
    assert f"<mark>{html.escape(where.split(' ', 2)[2])}</mark>" in answer.content.decode()


def test_the_outermost_times_are_taken(page: Client, jobs: dict[str, Job]) -> None:
    outermost = 'created > "1970-01-01T00:00+14:00" and created < "9000-12-31T23:59-14:00"'
    assert found(page, outermost) == {"fast", "slow", "plain"}
    assert found(page, "created > 10000d and not duration > 10000d") == {"fast", "slow", "plain"}


def test_a_filter_takes_as_many_queries_for_more_jobs(page: Client, user: User) -> None:
    url = (
        f"/jobs/?{urlencode({'where': 'best(val-core) > 0 or lr > 0', 'column': f'{SCORE}:best'})}"
    )
    counts = []
    for number in (1, 3):
        for _ in range(number):
            job = factories.make_job(user)
            factories.add_points(job, SCORE, {1: 1.0})
            marks.tag(job, ["a"])
        page.get(url)
        counts.append(queries(page, url))
    assert counts[0] == counts[1]


def test_a_metric_is_looked_up_once_however_often_it_is_named(
    page: Client, jobs: dict[str, Job]
) -> None:
    def asked(where: str) -> int:
        page.get(f"/jobs/?{urlencode({'where': where})}")
        return queries(page, f"/jobs/?{urlencode({'where': where})}")

    once = asked("val-core > 0")
    values = ",".join(f"{value / 10}" for value in range(50))
    assert asked(f"best(val-core) > 0 and val-core < 7 or val-core in ({values})") == once
    assert asked(f"val-core > 0 and {SCORE} > 0") == once + 1


def test_a_filter_takes_as_many_metrics_as_the_database(
    page: Client, jobs: dict[str, Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [SCORE, *(f"val-core/{n}" for n in range(MOST_METRICS // 2 - 1))]
    monkeypatch.setattr(StoredFigures, "all_names", lambda self: names)
    monkeypatch.setattr(StoredFigures, "names_had", lambda self, jobs, names: names)
    assert found(page, f"val-core > 0.4 and val-core in (0.5,{'7,' * 48}7)") == {"slow"}
    three = " and ".join(["val-core > 0"] * 3)
    answer = page.get(f"/jobs/?{urlencode({'where': three})}")
    assert answer.status_code == 422
    assert "val-core &gt; 0 and <mark>val-core</mark>" in answer.content.decode()


def test_words_are_proposed(page: Client, jobs: dict[str, Job], client: Client) -> None:
    def words(where: str) -> list[str]:
        answer = page.get(f"/jobs/filter/?{urlencode({'where': where})}").json()
        return [word for word in answer["words"] if isinstance(word, str)]

    assert words("algo") == ["algorithm"]
    assert words("lr < 1 and algorithm = g")[:2] == ["grpo", "gspo"]
    assert {"val-core", SCORE} <= set(words("val-c"))
    assert words("lr < 1 ") == ["and", "or"]


def test_no_metric_of_somebody_else_is_proposed(page: Client, other: User) -> None:
    factories.add_points(factories.make_job(other), "secret/metric", {1: 1.0})
    assert page.get("/jobs/filter/?where=secret").json()["words"] == []


def test_no_metric_of_somebody_else_is_known(page: Client, user: User, other: User) -> None:
    factories.add_points(factories.make_job(other), "secret/metric", {1: 1.0})
    for where in ("secret > 0", "secret/metric > 0", "best(secret) > 0"):
        answer = page.get(f"/jobs/?{urlencode({'where': where})}")
        assert answer.status_code == 422
        assert "There is no field and no metric secret" in answer.content.decode()
    User.objects.filter(pk=user.pk).update(is_staff=True)
    assert page.get("/jobs/?where=secret+>+0").status_code == 200


def test_proposals_ask_for_a_login_and_for_get(page: Client) -> None:
    assert refuses_other_methods(page, "/jobs/filter/", "get")
    assert asks_for_login("/jobs/filter/")
