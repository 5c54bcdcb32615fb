"""What answers: transformers, or vLLM or SGLang where they are installed and there is a GPU.

Each gives the answers to prompts that are tokens; only transformers needs no export of a checkpoint
of verl.
"""

import importlib.util
import inspect
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import psutil
import torch

from trainyard_node.evaluating import model as models
from trainyard_node.evaluating.generating import Answer, answers_to
from trainyard_node.evaluating.model import Described
from trainyard_node.evaluating.spec import DTYPES, Asked
from trainyard_node.export.refused import Refused
from trainyard_node.rollout.choice import Request

MOST = {"cpu": 64, "cuda": 256}  # answers at once
SEEDS = 2**31  # of SGLang
SHARE = {"cpu": 0.25, "cuda": 0.6}  # of what memory is free, for keys and values


class Engine(ABC):
    """`most` answers are asked at once, of at most `room` tokens together."""

    dtype: str
    most: int
    room: int
    stop: frozenset[int]

    @abstractmethod
    def answer(self, requests: Sequence[Request], longest: int) -> list[Answer]:
        """The answers in their order; none of any batch is longer than `longest`."""


def chosen(asked: Asked) -> str:
    """The backend that will answer. Raises Refused where it is not installed here."""
    if asked.backend not in ("auto", "transformers"):
        if not _is_there(asked.backend):
            raise Refused(f"{asked.backend} is not installed in this environment. Install it, or "
                          "choose transformers.")  # fmt: skip
        return asked.backend
    if asked.backend == "auto" and torch.cuda.is_available() and not asked.adapter:
        return next((name for name in ("vllm", "sglang") if _is_there(name)), "transformers")
    return "transformers"


def check_backend(name: str, asked: Asked, described: Described) -> str:
    """The backend as it can be used on this model. Raises Refused where it was asked for and
    cannot; what `auto` chose gives way to transformers."""
    why = ""
    if name != "transformers" and described.is_shards:
        why = f"{name} reads no shards of a checkpoint: export it, or choose transformers."
    if name != "transformers" and described.adapter:
        why = f"{name} is given no adapter here: merge it into the model, or choose transformers."
    if name == "sglang" and asked.temperature and not _sglang_takes_seeds():
        why = (
            "This SGLang draws all answers from one seed, so that each would hang on what else "
            "is asked: take a newer one, vllm or transformers."
        )
    if why and asked.backend == name:
        raise Refused(why)
    return "transformers" if why else name


def engine_of(name: str, asked: Asked, described: Described) -> Engine:
    """Loads the model. Raises Refused where it cannot be loaded."""
    kinds: dict[str, type[Vllm] | type[Sglang]] = {"vllm": Vllm, "sglang": Sglang}
    return kinds.get(name, Transformers)(asked, described)


class Transformers(Engine):
    def __init__(self, asked: Asked, described: Described) -> None:
        self.model = models.load(described, asked.dtype)
        self.stop = models.stops(described)
        self._pad = described.pad
        self.dtype = str(self.model.dtype).removeprefix("torch.")
        self.most = asked.batch_size or most_of(self.model)
        self.room = 1 << 62 if asked.batch_size else room_of(self.model)

    def answer(self, requests: Sequence[Request], longest: int) -> list[Answer]:
        try:
            found: list[Answer] = answers_to(self.model, requests, self._pad, longest)
            return found
        except torch.cuda.OutOfMemoryError:
            if len(requests) == 1:
                raise
        torch.cuda.empty_cache()
        half = len(requests) // 2
        self.most = max(1, half)  # the next batch would not fit either
        parts = (requests[:half], requests[half:])
        return [answer for part in parts for answer in self.answer(part, longest)]


def most_of(model: Any) -> int:
    """How many answers are asked at once where memory does not say fewer."""
    return MOST.get(model.device.type, 64)


def room_of(model: Any) -> int:
    """The tokens whose keys and values fit into the share of memory that they may take."""
    config = model.config.get_text_config()
    heads = getattr(config, "num_attention_heads", 1)
    width = getattr(config, "head_dim", None) or config.hidden_size // heads
    kept = getattr(config, "num_key_value_heads", None) or heads
    each = 2 * config.num_hidden_layers * kept * width * model.dtype.itemsize
    kind = model.device.type
    free = torch.cuda.mem_get_info()[0] if kind == "cuda" else psutil.virtual_memory().available
    return max(1, int(SHARE.get(kind, 0.25) * free / each))


class Vllm(Engine):
    def __init__(self, asked: Asked, described: Described) -> None:
        import vllm

        self._vllm = vllm
        self.stop = models.stops(described)
        self.dtype = DTYPES.get(asked.dtype, "auto")
        self.most, self.room = asked.batch_size or 4096, 1 << 62
        self._model = vllm.LLM(
            model=described.source, dtype=self.dtype, seed=asked.seed,
            tensor_parallel_size=torch.cuda.device_count() or 1,
        )  # fmt: skip

    def answer(self, requests: Sequence[Request], longest: int) -> list[Answer]:
        settings = [
            self._vllm.SamplingParams(
                max_tokens=one.max_tokens, temperature=one.temperature, top_p=one.top_p,
                top_k=one.top_k, stop_token_ids=sorted(one.stop), seed=one.seed,
                detokenize=False,
            )
            for one in requests
        ]  # fmt: skip
        prompts = [{"prompt_token_ids": list(one.prompt)} for one in requests]
        outputs = self._model.generate(prompts, settings, use_tqdm=False)
        return [
            Answer(list(each.outputs[0].token_ids), each.outputs[0].finish_reason == "stop")
            for each in outputs
        ]


class Sglang(Engine):
    def __init__(self, asked: Asked, described: Described) -> None:
        import sglang

        self.stop = models.stops(described)
        self.dtype = DTYPES.get(asked.dtype, "auto")
        self.most, self.room = asked.batch_size or 4096, 1 << 62
        # It looks at the seed of a request in this mode alone.
        each_its_seed = {"enable_deterministic_inference": True} if asked.temperature else {}
        self._engine = sglang.Engine(
            model_path=described.source, dtype=self.dtype,
            random_seed=asked.seed, skip_tokenizer_init=True,
            tp_size=torch.cuda.device_count() or 1, **each_its_seed,
        )  # fmt: skip

    def answer(self, requests: Sequence[Request], longest: int) -> list[Answer]:
        settings = [
            {
                "max_new_tokens": one.max_tokens, "temperature": one.temperature,
                "top_p": one.top_p, "top_k": one.top_k, "stop_token_ids": sorted(one.stop),
                **({"sampling_seed": one.seed % SEEDS} if one.temperature else {}),
            }
            for one in requests
        ]  # fmt: skip
        outputs = self._engine.generate(
            input_ids=[list(one.prompt) for one in requests], sampling_params=settings
        )
        return [
            Answer(list(each["output_ids"]), each["meta_info"]["finish_reason"]["type"] == "stop")
            for each in outputs
        ]


def _sglang_takes_seeds() -> bool:
    """Whether each request may have a seed of its own."""
    from sglang.srt.sampling.sampling_params import SamplingParams

    return "sampling_seed" in inspect.signature(SamplingParams).parameters


def _is_there(name: str) -> bool:
    return importlib.util.find_spec(name) is not None
