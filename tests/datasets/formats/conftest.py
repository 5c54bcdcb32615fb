import pytest


@pytest.fixture(autouse=True)
def own_home() -> None:
    """Pure code has no home: a test's folder holds what the test puts there, and nothing else."""
