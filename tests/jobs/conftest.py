from pathlib import Path

import pytest
from django.contrib.auth.models import User

from jobs.order.forms import form_data
from jobs.verl.recipes import all_recipes


@pytest.fixture
def sft_data(samples: Path, user: User) -> dict[str, str]:
    """What a browser posts from the untouched form of the sample SFT run."""
    return filled("sample-sft") | {
        "train_batch_size": "64",
        "max_length": "64",
        "lr": "0.001",
        "micro_batch_size": "32",
        "epochs": "2",
        "steps": "",
        "overrides": "",
    }


@pytest.fixture
def grpo_data(samples: Path, user: User) -> dict[str, str]:
    return filled("sample-grpo") | {
        "train_batch_size": "32",
        "max_prompt_length": "32",
        "max_response_length": "8",
        "mini_batch_size": "32",
        "micro_batch_size": "64",
        "rollout_n": "8",
        "epochs": "4",
        "steps": "16",
        "overrides": "",
    }


def filled(slug: str) -> dict[str, str]:
    """The form as the recipe fills it; a test that counts on a value sets it."""
    data = form_data(all_recipes()[slug], "", [])
    return {name: str(value) for name, value in data.items()}
