"""What can be known to fail before a run starts. Each check says what would be right."""

from collections.abc import Callable, Iterator
from math import isqrt

from jobs.verl.knobs import COMMAND, LARGEST, find, knobs_of, number, value_of
from jobs.verl.overrides import parse, readable
from jobs.verl.schema import Schema
from jobs.verl.spec import Problem, TrainSpec
from jobs.verl.steps import promised, rows_used, steps_per_epoch

# Where a run writes is fixed: the run directory is how the platform knows what became of it.
RESERVED = frozenset(
    {
        "hydra.run.dir",
        "trainer.default_local_dir",
        "trainer.device",
        "trainer.logger",
        "trainer.nnodes",
        "trainer.resume_from_path",
        "trainer.resume_mode",
        "trainer.rollout_data_dir",
        "trainer.validation_data_dir",
    }
)


def check_overrides(spec: TrainSpec, schema: Schema) -> Iterator[Problem]:
    """Free overrides: readable, known to this verl, of the right type, each once, and not a key
    that a field or the run directory already sets."""
    seen: set[str] = set()
    for text in spec.overrides:
        try:
            override = parse(text)
        except ValueError as error:
            yield Problem("overrides", str(error))
            continue
        message = _owned(spec, override.key) or schema.problem(override)
        if override.key in seen:
            message = f"{override.key} is given twice."
        seen.add(override.key)
        if message:
            yield Problem("overrides", message)


def _owned(spec: TrainSpec, key: str) -> str | None:
    if key in RESERVED:
        return f"{key} is set by Trainyard, which knows by it where the run is and how it goes."
    knob = find(spec.kind, key)
    if knob and knob.key(spec.kind) != COMMAND:
        return f"{key} is set by the field '{knob.label}'."
    owned = RESERVED.union(*(knob.keys[spec.kind] for knob in knobs_of(spec.kind)))
    if any(other.startswith(f"{key}.") for other in owned):
        return f"{key} holds keys that fields set: write the single key that is meant."
    return None


def check_paths(spec: TrainSpec, is_allowed: Callable[[str], bool]) -> Iterator[Problem]:
    """Files that free overrides name lie in the allowed folders, as the fields' files do."""
    for override in readable(spec.overrides):
        leaf = override.key.rsplit(".", 1)[-1]
        for path in override.value if isinstance(override.value, list) else [override.value]:
            names_file = leaf.endswith(("path", "_dir", "_files", "_file"))
            if names_file and path is not None and not is_allowed(str(path)):
                what = f"{override.key}: {path} lies outside the allowed folders"
                yield Problem("overrides", f"{what}; see TRAINYARD_PATHS.")


def check_batches(spec: TrainSpec) -> Iterator[Problem]:
    """Batch sizes that verl would refuse, or split unevenly, after the model has loaded."""
    batch, ranks = number(spec, "train_batch_size"), number(spec, "gpus")
    if spec.kind == "sft":
        yield from _divides("train_batch_size", batch, ranks, "devices")
        if batch % ranks == 0:
            micro = number(spec, "micro_batch_size")
            yield from _divides("micro_batch_size", batch // ranks, micro, "a micro batch")
        return
    yield from _check_rl_batches(spec, batch, ranks)


def _check_rl_batches(spec: TrainSpec, batch: int, ranks: int) -> Iterator[Problem]:
    mini, group = number(spec, "mini_batch_size"), number(spec, "rollout_n")
    yield from _divides("mini_batch_size", batch, mini, "a mini batch")
    yield from _divides("rollout_n", mini * group, ranks, "devices")
    if (mini * group) % ranks == 0:
        micro = number(spec, "micro_batch_size")
        yield from _divides("micro_batch_size", mini * group // ranks, micro, "a micro batch")
    parallel = number(spec, "tensor_parallel")
    yield from _divides("tensor_parallel", ranks, parallel, "tensor parallelism")


def _divides(field: str, whole: int, part: int, what: str) -> Iterator[Problem]:
    if part and whole % part == 0:
        return
    fitting = _divisors(whole)
    near = sorted(sorted(fitting, key=lambda n: abs(n - part))[:3])
    words = ", ".join(str(n) for n in near)
    wrong = f"{whole} does not divide by {part} ({what})"
    yield Problem(field, f"{wrong}: the nearest that do are {words}.")


def _divisors(whole: int) -> list[int]:
    small = [n for n in range(1, isqrt(whole) + 1) if whole % n == 0]
    return sorted({*small, *(whole // n for n in small)})


def check_engine(spec: TrainSpec) -> Iterator[Problem]:
    """The rollout engine must suit the device."""
    if spec.kind == "sft":
        return
    on_cpu, engine = value_of(spec, "device") == "cpu", value_of(spec, "engine")
    if on_cpu and engine != "hf":
        yield Problem("engine", f"{engine} needs a GPU; on the CPU the engine is hf.")
    if not on_cpu and engine == "hf":
        yield Problem("engine", "hf samples on the CPU only; take vllm or sglang on a GPU.")
    if engine == "hf" and number(spec, "tensor_parallel") != 1:
        yield Problem("tensor_parallel", "hf keeps a whole copy on each device: set it to 1.")


def check_rows(spec: TrainSpec, rows: int) -> Iterator[Problem]:
    """The data must fill a batch, and the epochs must hold the steps asked for."""
    used = rows_used(spec, rows)
    batch = number(spec, "train_batch_size")
    per_epoch = steps_per_epoch(spec, used)
    if per_epoch == 0:
        yield Problem("train_batch_size", f"The data has {used} rows, fewer than a batch: {batch}.")
        return
    held, wanted = per_epoch * number(spec, "epochs"), promised(spec, rows)
    if wanted > LARGEST:
        yield Problem("epochs", f"{wanted} steps are more than can be counted: {LARGEST}.")
    elif wanted > held:
        need = -(-wanted // per_epoch)
        yield Problem("steps", f"The epochs hold {held} steps only: set epochs to {need} or more.")


def check_validation(spec: TrainSpec, rows: int) -> Iterator[Problem]:
    """SFT validates in whole batches only: fewer rows give no loss at all, without an error."""
    batch = number(spec, "train_batch_size")
    if spec.kind == "sft" and rows < batch:
        what = f"The validation data has {rows} rows, fewer than a batch ({batch})"
        yield Problem("val_files", f"{what}: verl would report no validation loss.")


def check_context(spec: TrainSpec, context: int | None) -> Iterator[Problem]:
    """Lengths beyond what the model was made for (``max_position_embeddings``)."""
    if context is None:
        return
    if spec.kind == "sft" and number(spec, "max_length") > context:
        yield Problem("max_length", f"The model's context is {context} tokens.")
    if spec.kind != "sft":
        total = number(spec, "max_prompt_length") + number(spec, "max_response_length")
        if total > context:
            message = f"Prompt and answer may take {total} tokens; the model's context is {context}"
            yield Problem("max_response_length", f"{message}.")
