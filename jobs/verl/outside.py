"""What a run may write outside of its own directory, by its free overrides."""

from collections.abc import Iterator

from jobs.verl.overrides import Override

# The ends of keys that name a folder or a file to write.
WRITTEN = ("_dir", ".dir", "save_path", "output_path", "_folder", "timeline_json_file")
READ = ("working_dir",)  # Ray takes the user's code from it
ARGUMENT = "reward_kwargs."  # of the user's own function, which may read from it
KEEPS = "skip."  # verl keeps answers, below the home directory where no folder is given


def is_written(override: Override) -> bool:
    """Whether the override names a place to write, itself or by a key of its dictionary."""
    return any(map(_names_place, _keys(override.key, override.value)))


def _names_place(key: str) -> bool:
    if ARGUMENT in key or key.endswith(READ):
        return False
    return key.endswith(WRITTEN) or f"{key}.".startswith(KEEPS)


def _keys(key: str, value: object) -> Iterator[str]:
    yield key
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _keys(f"{key}.{name}", inner)
