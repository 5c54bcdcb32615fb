"""What workers do: load, call the service."""

from evaluations.chains import advancing, scheduling


def advance(chain_id: int) -> None:
    advancing.advance(chain_id)


def start_kept(recipe_id: int) -> None:
    scheduling.start_kept(recipe_id)
