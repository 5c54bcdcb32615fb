"""What workers do: load, call the service."""

from evaluations.chains import advancing


def advance(chain_id: int) -> None:
    advancing.advance(chain_id)
