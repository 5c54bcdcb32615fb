"""``preview`` with errors shows the command all the same, with the errors marked."""

import io
import json
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command

from tests import processes

WRONG = ("--set", "lr=abc", "--set", "epochs=1.5", "--set", "data.num_workers=3")


def test_the_command_is_printed_with_what_is_wrong_marked(samples: Path, staff: User) -> None:
    out = io.StringIO()
    with pytest.raises(CommandError, match=r"lr: Write a number"):
        call_command("preview", "sample-sft", *WRONG, stdout=out, stderr=io.StringIO())
    lines = out.getvalue().splitlines()
    assert lines[0] == "#!/usr/bin/env bash"
    marked = [line.strip() for line in lines if "  # <-- " in line]
    assert [line.partition(" ")[0] for line in marked] == [
        "optim.lr=abc", "trainer.total_epochs=1.5",
    ]  # fmt: skip
    assert "# <-- Write a number" in marked[0]
    assert any(line.strip().startswith("data.num_workers=3") for line in lines)


def test_an_empty_field_is_marked_by_its_error(samples: Path, staff: User) -> None:
    out = io.StringIO()
    with pytest.raises(CommandError):
        call_command("preview", "sample-sft", "--set", "lr=", stdout=out, stderr=io.StringIO())
    assert "optim.lr=" in out.getvalue()


@pytest.mark.django_db(transaction=True)
def test_a_program_reads_errors_and_command_in_one_value(
    home: Path, samples: Path, staff: User
) -> None:
    env = processes.environment(home, TRAINYARD_PATHS=str(home))
    done = processes.run("preview", "sample-sft", *WRONG, "--json", env=env)
    assert done.returncode == 1, done.stderr
    found = json.loads(done.stdout)
    assert {"lr", "epochs"} <= {each["field"] for each in found["errors"]}
    assert set(found["marks"]) == {"optim.lr=abc", "trainer.total_epochs=1.5"}
    assert set(found["marks"]) <= set(found["argv"])
    assert "optim.lr=abc" in found["script"]
    assert found["warnings"] == []
