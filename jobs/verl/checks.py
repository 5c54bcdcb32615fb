"""Find errors that would make a run fail, before it starts. Each check says how to correct them."""

from collections.abc import Callable, Iterator

from jobs.verl.algorithms import is_rl
from jobs.verl.knobs import COMMAND, LARGEST, Knob, knobs_of, number
from jobs.verl.overrides import parse, readable
from jobs.verl.releases import translate
from jobs.verl.schema import Schema
from jobs.verl.spec import LATEST, Problem, TrainSpec
from jobs.verl.steps import promised, rows_used, steps_per_epoch
from platform_site.counts import counted

# The output paths of a run are fixed: the platform reads the run's state from its run directory.
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

# Keys by which verl, Hydra or transformers load code that the value or the model brings.
CODE = frozenset(
    {
        "_target_",
        "_call_",
        "external_lib",
        "external_libs",
        "custom_cls",
        "custom_chat_template",
        "custom_reward_function",
        "custom_reward_functions",
        "trust_remote_code",
        "module",
        "agent_loop_config_path",
        "agent_loop_manager_class",
        "function_tool_path",
        "tool_config_path",
        "interaction_config_path",
        "runtime_env",
        "worker_extension_cls",
        "checkpoint_callback_class",
        "reward_loop_module_path",
        "reward_loop_class_name",
        "class_path",
        "datagen",
    }
)

# The function itself is the user's, by a field of the form.
REWARD_ARGUMENTS = "reward.custom_reward_function.reward_kwargs."


def check_overrides(spec: TrainSpec, schema: Schema) -> Iterator[Problem]:
    """Check free overrides: readable, known to this verl, of the right type, given once, and not a
    key that a field or the run directory already sets."""
    seen: set[str] = set()
    for text in spec.overrides:
        try:
            override = parse(text)
        except ValueError as error:
            yield Problem("overrides", str(error))
            continue
        message = _of_hydra(override.key) or _owned(spec, override.key) or schema.problem(override)
        if override.key in seen:
            message = f"{override.key} is given twice."
        seen.add(override.key)
        if message:
            yield Problem("overrides", message)


def check_code(spec: TrainSpec) -> Iterator[Problem]:
    """Free overrides that name code, or let a model bring its own: only staff may write them."""
    for override in readable(spec.overrides):
        if name := names_code(override.key, override.value):
            what = f"{override.key}: {name} names code that the run would load"
            yield Problem("overrides", f"{what}. Only staff may set it.")


def names_code(key: str, value: object) -> str | None:
    """The part of a key, or of the dictionaries in its value, that names code."""
    is_argument = f"{key}.".startswith(REWARD_ARGUMENTS)
    parts = [] if is_argument else key.replace("/", ".").replace("@", ".").split(".")
    return next((part for part in (*parts, *_keys_within(value)) if part in CODE), None)


def _keys_within(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from str(key).split(".")
            yield from _keys_within(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _keys_within(inner)


def _of_hydra(key: str) -> str | None:
    """Hydra's own settings can start programs before verl begins, so no run may change them."""
    if key in RESERVED or key.replace("/", ".").replace("@", ".").split(".")[0] != "hydra":
        return None
    return f"{key} is Hydra's own setting, and none of a run's: it can start programs."


def _owned(spec: TrainSpec, key: str) -> str | None:
    if key in RESERVED:
        return f"{key} is set by Trainyard, which knows by it where the run is and how it goes."
    for knob in knobs_of(spec.kind):
        if key in _keys_of(knob, spec):
            return f"{key} is set by the field '{knob.label}'."
    owned = RESERVED.union(*(_keys_of(knob, spec) for knob in knobs_of(spec.kind)))
    if any(other.startswith(f"{key}.") for other in owned):
        return f"{key} holds keys that fields set: write the single key that is meant."
    return None


def _keys_of(knob: Knob, spec: TrainSpec) -> set[str]:
    """A knob's keys as the release that will run it names them."""
    keys = {key for key in knob.keys[spec.kind] if key != COMMAND}
    if spec.verl == LATEST:
        return keys
    return {found for key in keys if (found := translate(key, spec.kind, spec.verl).key)}


def scores_by_source(spec: TrainSpec) -> bool:
    """Whether verl's own functions score the answers, by each row's data source."""
    given = spec.values.get("reward_file") or spec.values.get("reward_model")
    return is_rl(spec.kind) and not given


def check_paths(spec: TrainSpec, why_not: Callable[[str], str]) -> Iterator[Problem]:
    """Files named by free overrides must be readable, like files in the fields: ``why_not`` says
    why one is not."""
    for override in readable(spec.overrides):
        leaf = override.key.rsplit(".", 1)[-1]
        for path in override.value if isinstance(override.value, list) else [override.value]:
            names_file = leaf.endswith(("path", "_dir", "_files", "_file"))
            if names_file and path is not None and (reason := why_not(str(path))):
                yield Problem("overrides", f"{override.key}: {reason}")


def check_rows(spec: TrainSpec, rows: int) -> Iterator[Problem]:
    """The data must fill a batch, and the epochs must contain the requested steps."""
    used = rows_used(spec, rows)
    batch = number(spec, "train_batch_size")
    per_epoch = steps_per_epoch(spec, used)
    if per_epoch == 0:
        yield Problem(
            "train_batch_size", f"The data has {counted(used, 'row')}, fewer than a batch: {batch}."
        )
        return
    held, wanted = per_epoch * number(spec, "epochs"), promised(spec, rows)
    if wanted > LARGEST:
        yield Problem("epochs", f"{wanted} steps are more than can be counted: {LARGEST}.")
    elif wanted > held:
        need = -(-wanted // per_epoch)
        yield Problem(
            "steps", f"The epochs hold {counted(held, 'step')} only: set epochs to {need} or more."
        )


def check_validation(spec: TrainSpec, rows: int) -> Iterator[Problem]:
    """SFT validates whole batches only: with fewer rows it reports no loss, and no error."""
    batch = number(spec, "train_batch_size")
    if not is_rl(spec.kind) and rows < batch:
        what = f"The validation data has {counted(rows, 'row')}, fewer than a batch ({batch})"
        yield Problem("val_files", f"{what}: verl would report no validation loss.")


def check_context(spec: TrainSpec, context: int | None) -> Iterator[Problem]:
    """Lengths that exceed the model's ``max_position_embeddings``."""
    if context is None:
        return
    if not is_rl(spec.kind) and number(spec, "max_length") > context:
        yield Problem("max_length", f"The model's context is {context} tokens.")
    if is_rl(spec.kind):
        total = number(spec, "max_prompt_length") + number(spec, "max_response_length")
        if total > context:
            message = f"Prompt and answer may take {total} tokens; the model's context is {context}"
            yield Problem("max_response_length", f"{message}.")
