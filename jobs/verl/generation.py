"""Whether transformers will save a model's ``generation_config.json``.

It loads one with conflicting values and only warns, but refuses to save it. verl saves it with the
model, so a run with such a file ends at its first checkpoint.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

NAME = "generation_config.json"
LARGEST = 1 << 20  # bytes
NEUTRAL = {  # what samples only, and the value at which it does nothing
    "temperature": 1.0, "top_p": 1.0, "min_p": None, "top_h": None, "typical_p": 1.0,
    "top_k": 50, "epsilon_cutoff": 0.0, "eta_cutoff": 0.0,
}  # fmt: skip
OF_BEAMS = {"early_stopping": False, "length_penalty": 1.0}
CACHES = (
    "static", "offloaded_static", "sliding_window", "hybrid", "hybrid_chunked", "offloaded_hybrid",
    "offloaded_hybrid_chunked", "dynamic", "dynamic_full", "offloaded", "quantized", "paged",
)  # fmt: skip
OUTPUTS = ("output_attentions", "output_hidden_states", "output_scores", "output_logits")
ARGUMENTS = (  # of generate(), which the file must not hold
    "logits_processor", "stopping_criteria", "prefix_allowed_tokens_fn", "synced_gpus",
    "assistant_model", "streamer", "negative_prompt_ids", "negative_prompt_attention_mask",
)  # fmt: skip


def generation_problem(folder: Path) -> str:
    """The reason why transformers would not save this model's file; empty when it would."""
    path = folder / NAME
    try:
        with path.open("rb") as file:
            found = json.loads(file.read(LARGEST))
    except (OSError, ValueError, RecursionError):  # transformers then makes one of config.json
        return ""
    if not isinstance(found, dict):
        return f"{path} is no JSON object."
    try:
        reason = next(_reasons(found), "")
    except TypeError:  # text where a number belongs
        reason = "a value has the wrong type"
    return f"{path} would end the run at its first save: {reason}." if reason else ""


def _reasons(config: Mapping[str, Any]) -> Iterator[str]:
    yield from _wrong_values(config)
    if config.get("do_sample") is not True:
        for key in _set(config, NEUTRAL):
            yield f"it sets {key} without do_sample. Set do_sample to true, or remove {key}"
    if config.get("num_beams") in (None, 1):
        for key in _set(config, OF_BEAMS):
            yield f"it sets {key}, which is for num_beams above 1 only. Remove it"
    yield from _unused(config)


def _set(config: Mapping[str, Any], neutral: Mapping[str, Any]) -> Iterator[str]:
    for key, value in neutral.items():
        if config.get(key) is not None and config[key] != value:
            yield key


def _wrong_values(config: Mapping[str, Any]) -> Iterator[str]:
    stopping = config.get("early_stopping")
    if stopping is not None and stopping not in (True, False, "never"):
        yield "early_stopping must be true, false or 'never'"
    if _told(config, "max_new_tokens", 1) <= 0:
        yield "max_new_tokens must be above 0"
    if _told(config, "pad_token_id", 0) < 0:
        yield "pad_token_id is below 0. Set it to the tokenizer's"
    if config.get("cache_implementation") not in (None, *CACHES):
        yield f"cache_implementation must be one of {', '.join(CACHES)}"
    if config.get("compile_config") is not None:
        yield "it holds compile_config. Remove it"
    for key in ARGUMENTS:
        if key in config:
            yield f"{key} is an argument of generate(). Remove it"


def _unused(config: Mapping[str, Any]) -> Iterator[str]:
    beams, several = _told(config, "num_beams", 1), _told(config, "num_return_sequences", 1)
    if several > max(beams, 1) and not (beams == 1 and config.get("do_sample")):
        yield "num_return_sequences is more than num_beams"
    if config.get("use_cache") is False:
        for key in ("cache_implementation", "cache_config"):
            if config.get(key) is not None:
                yield f"it sets {key} while use_cache is false. Remove one of them"
    if config.get("return_dict_in_generate") is not True:
        for key in OUTPUTS:
            if config.get(key) is True:
                yield f"it sets {key} without return_dict_in_generate. Remove it"


def _told(config: Mapping[str, Any], key: str, otherwise: float) -> float:
    value = config.get(key)
    return otherwise if value is None else value + 0
