from pathlib import Path

import pytest

from tests import factories
from tests.surgery.conftest import look

__all__ = ["look"]


@pytest.fixture
def samples(home: Path) -> Path:
    return factories.make_samples(home)
