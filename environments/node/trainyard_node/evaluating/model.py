"""The model that is evaluated: what it is, before its weights are loaded, and the weights."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch

from trainyard_node.evaluating.spec import DTYPES, Asked
from trainyard_node.examine import FOLDER
from trainyard_node.export.refused import Refused
from trainyard_node.rollout.choice import end_tokens

CONTEXT = "max_position_embeddings"
UNLIMITED = 1 << 20  # tokens, where neither the model nor its tokenizer names a limit
WEIGHTS = (".safetensors", ".bin", ".pt")


@dataclass(frozen=True)
class Described:
    """A model without its weights. `source` is its folder or hub name, `folder` that of its
    configuration and tokenizer; `context` is the most tokens of a prompt with its answer."""

    source: str
    folder: str
    adapter: str
    config: Any
    tokenizer: Any
    context: int

    @property
    def is_shards(self) -> bool:
        """Whether it lies in the shards of a verl checkpoint."""
        return self.source != self.folder

    @property
    def pad(self) -> int:
        return int(self.tokenizer.pad_token_id or 0)

    def identity(self) -> str:
        """Which files it has, by name, size and time: when they differ, it is another model."""
        found = []
        for place in filter(None, (self.source, self.adapter)):
            root = Path(place)
            for path in sorted(root.rglob("*")) if root.is_dir() else ():
                if path.suffix in WEIGHTS:
                    facts = path.stat()
                    found.append((str(path.relative_to(root)), facts.st_size, facts.st_mtime_ns))
        return sha256(json.dumps([self.source, self.adapter, found]).encode()).hexdigest()

    def vocabulary(self) -> str:
        """The digest of the tokenizer's vocabulary: losses of different ones cannot be compared."""
        words = json.dumps(sorted(self.tokenizer.get_vocab().items())).encode()
        return sha256(words).hexdigest()


def describe(asked: Asked) -> Described:
    """Raises Refused where there is no such model, or no tokenizer."""
    from transformers import AutoConfig

    path = Path(asked.model).expanduser()
    folder = _description(path) if _is_shards(path) else asked.model
    if asked.model.startswith(("/", "~", ".")) and not path.is_dir():
        raise Refused(f"There is no model at {asked.model}.")
    config = _told(folder, "model", lambda: AutoConfig.from_pretrained(folder))
    tokenizer = _told(folder, "tokenizer", lambda: tokenizer_of(folder))
    if asked.template:
        tokenizer.chat_template = asked.template
    if asked.adapter and not Path(asked.adapter, "adapter_config.json").is_file():
        raise Refused(f"There is no adapter at {asked.adapter}: it has no adapter_config.json.")
    context = context_of(config, tokenizer)
    return Described(asked.model, str(folder), asked.adapter, config, tokenizer, context)


def tokenizer_of(folder: str) -> Any:
    """The tokenizer as verl's `hf_tokenizer` gives it: with a token to pad with."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token_id = tokenizer.eos_token_id
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def context_of(config: Any, tokenizer: Any) -> int:
    """The longest that the model reads, in tokens."""
    text = config.get_text_config() if hasattr(config, "get_text_config") else config
    named = next((getattr(text, name) for name in (CONTEXT, "n_positions", "max_seq_len")
                  if type(getattr(text, name, None)) is int), None)  # fmt: skip
    limit = getattr(tokenizer, "model_max_length", None)
    usable = [n for n in (named, limit) if isinstance(n, int) and 0 < n < UNLIMITED]
    return named if named else min(usable, default=UNLIMITED)


def device() -> torch.device:
    """The GPU where this process has one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def load(described: Described, dtype: str) -> Any:
    """The model on its device, to answer with. Raises Refused where it cannot be loaded."""
    from transformers import AutoModelForCausalLM

    kind = getattr(torch, DTYPES[dtype]) if dtype else "auto"
    many = {"device_map": "auto"} if torch.cuda.device_count() > 1 else {}
    if described.is_shards:
        model = _of_shards(Path(described.source), described.config, kind)
    else:
        model = _told(
            described.source, "model",
            lambda: AutoModelForCausalLM.from_pretrained(described.source, dtype=kind, **many),
        )  # fmt: skip
    if described.adapter:
        model = _with_adapter(model, described.adapter)
    return model.eval() if many and not described.is_shards else model.to(device()).eval()


def stops(described: Described) -> frozenset[int]:
    """The tokens that end an answer, as the rollout of a training run has them."""
    from transformers import GenerationConfig

    try:
        settings = GenerationConfig.from_pretrained(described.folder)
    except OSError:  # it has none: then its configuration says it
        settings = GenerationConfig.from_model_config(described.config)
    return end_tokens(described.tokenizer, settings)


def _is_shards(path: Path) -> bool:
    return bool(FOLDER.fullmatch(path.name)) and not (path / "config.json").is_file()


def _description(path: Path) -> str:
    from trainyard_node.export.source import find_source

    return str(find_source(path).description)


def _of_shards(path: Path, config: Any, kind: Any) -> Any:
    """The weights out of the shards of all ranks, as an export would write them."""
    from transformers import AutoModelForCausalLM

    from trainyard_node.shards.checkpoint import Checkpoint

    stored = Checkpoint(path)
    first = next(iter(stored.entries.values())).dtype
    model = AutoModelForCausalLM.from_config(config, dtype=first if kind == "auto" else kind)
    state = model.state_dict()
    for name, entry in stored.entries.items():
        rows = stored.rows(name, 0, max(1, entry.shape[0] if len(entry.shape) > 1 else 1))
        state[name].copy_(rows.reshape(entry.shape))
    model.tie_weights()
    return model


def _with_adapter(model: Any, adapter: str) -> Any:
    from peft import PeftModel

    return _told(
        adapter, "adapter", lambda: PeftModel.from_pretrained(model, adapter).merge_and_unload()
    )


def _told(place: str, what: str, work: Callable[[], Any]) -> Any:
    try:
        return work()
    except Exception as error:  # each library has its own
        words = " ".join(str(error).split())[:400]
        raise Refused(f"The {what} of {place} cannot be loaded: {words}") from error
