"""Runs tasks of lm-eval on a model, and keeps each answer of the model as it comes.

Which answers are asked, how they are scored and averaged is lm-eval's own; what is added is that an
interrupted evaluation goes on, and that its documents become rows and scores.
"""

import json
import random
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any

import numpy as np
import torch
from lm_eval.api.instance import Instance
from lm_eval.api.model import hash_args
from lm_eval.evaluator import evaluate
from lm_eval.models.huggingface import HFLM

from trainyard_node.evaluating.answers import OWN, shown
from trainyard_node.evaluating.journal import Journal, Line
from trainyard_node.evaluating.spec import Asked
from trainyard_node.evaluating.telling import Progress

NO_TASK = ("alias", "sample_len", "sample_count", "name")
SEED = 1234  # of the examples in a prompt, as lm-eval's own command has it
ERROR = "_stderr"
PLAIN = "none"  # the filter that changes nothing
EVERY = 64  # answers that are kept at once, or
SECONDS = 1.0  # after so many seconds


class Keeper:
    """Takes the place of lm-eval's cache: it is told each answer when it comes."""

    def __init__(self, journal: Journal, kept: dict[str, Any], progress: Progress) -> None:
        self.kept, self._journal, self._progress = kept, journal, progress
        self._waiting: list[Line] = []
        self._at = time.monotonic()
        self._left: Counter[str] = Counter()
        self._documents: dict[str, list[str]] = {}
        self._done = 0

    def expect(self, requests: Sequence[Instance], attr: str) -> None:
        """These will be asked; a document is done when all of its requests are."""
        for request in requests:
            document = f"{request.task_name} {request.doc_id}"
            key = hash_args(attr, request.args)
            if key not in self.kept:
                self._left[document] += 1
                self._documents.setdefault(key, []).append(document)
            elif document not in self._left:
                self._left[document] = 0
        self._done = sum(not left for left in self._left.values())

    def add_partial(self, attr: str, req: Any, res: Any) -> None:
        """An answer came."""
        key = hash_args(attr, req)
        self.kept[key] = res
        self._waiting.append({"key": key, "answer": res})
        for document in self._documents.pop(key, ()):
            self._left[document] -= 1
            self._done += not self._left[document]
        if len(self._waiting) >= EVERY or time.monotonic() > self._at + SECONDS:
            self.flush()

    def flush(self) -> None:
        self._journal.keep(self._waiting)
        self._waiting, self._at = [], time.monotonic()
        self._progress.move(self._done, {})


class Model(HFLM):
    """lm-eval's model, which is not asked again what it has answered before an interruption."""

    keeper: Keeper

    def loglikelihood(self, requests: list[Instance], *args: Any, **options: Any) -> Any:
        return self._left(requests, "loglikelihood", args, options)

    def loglikelihood_rolling(self, requests: list[Instance], *args: Any, **options: Any) -> Any:
        return self._left(requests, "loglikelihood_rolling", args, options)

    def generate_until(self, requests: list[Instance], *args: Any, **options: Any) -> Any:
        return self._left(requests, "generate_until", args, options)

    def _left(self, requests: list[Instance], attr: str, args: Any, options: Any) -> list[Any]:
        self.keeper.expect(requests, attr)
        keys = [hash_args(attr, request.args) for request in requests]
        known = [self.keeper.kept.get(key) for key in keys]
        # A request that is asked several times is drawn anew each time: it is not kept.
        often = {key for key, count in Counter(keys).items() if count > 1}
        asked = [at for at, key in enumerate(keys) if known[at] is None or key in often]
        if asked:
            found = getattr(super(), attr)([requests[at] for at in asked], *args, **options)
            for at, answer in zip(asked, found, strict=True):
                known[at] = answer
        self.keeper.flush()
        return known


def model_of(loaded: Any, tokenizer: Any, batch: int, template: str) -> Model:
    """lm-eval's own around a loaded model."""
    if template:
        tokenizer.chat_template = template
    return Model(pretrained=loaded, tokenizer=tokenizer, batch_size=batch)


def prepare(tasks: Mapping[str, Any], asked: Asked) -> None:
    """Give the tasks what is asked of all: the number of examples, and the seeds, which are those
    of lm-eval's own command where none is asked. A task that has 0 examples keeps to that, too."""
    for task in tasks.values():
        own = task.get_config("num_fewshot")
        if asked.few_shot is not None and own != 0:
            task.set_config(key="num_fewshot", value=asked.few_shot)
        elif own is None:
            task.set_config(key="num_fewshot", value=0)
        task.set_fewshot_seed(seed=asked.seed or SEED)
    random.seed(asked.seed)
    np.random.seed(asked.seed or SEED)
    torch.manual_seed(asked.seed or SEED)


def documents(tasks: Mapping[str, Any], limit: int | None) -> int:
    """How many there are."""
    return sum(min(len(task.eval_docs), limit or len(task.eval_docs)) for task in tasks.values())


def run(model: Model, loaded: Mapping[str, Any], asked: Asked) -> dict[str, Any]:
    """What lm-eval found."""
    found: dict[str, Any] = evaluate(
        lm=model, task_dict=loaded, limit=asked.limit, log_samples=True,
        apply_chat_template=bool(asked.template), fewshot_as_multiturn=bool(asked.template),
    )  # fmt: skip
    return found


def metrics_of(found: Mapping[str, Any]) -> dict[str, float]:
    """`eval/<task>/<metric>`; what a filter gave has its name behind an @. Errors come last."""
    metrics: dict[str, float] = {}
    for task, values in found["results"].items():
        for name, value in values.items():
            metric, _, filtered = name.partition(",")
            if name in NO_TASK or _value(value) is None:
                continue
            metrics[_figure(task, metric, filtered)] = float(value)
    return dict(sorted(metrics.items(), key=lambda item: ERROR in item[0]))


def sides_of(found: Mapping[str, Any]) -> dict[str, bool]:
    """Of each figure whether more of it is better, where its task says so."""
    sides: dict[str, bool] = {}
    for task, values in found["results"].items():
        said = found.get("higher_is_better", {}).get(task, {})
        for name in values:
            metric, _, filtered = name.partition(",")
            if isinstance(is_higher := said.get(metric), bool):
                sides[_figure(task, metric, filtered)] = is_higher
    return sides


def _figure(task: str, metric: str, filtered: str) -> str:
    return f"eval/{task}/{metric}{_behind(filtered)}"


def _behind(filtered: str) -> str:
    """What stands behind the name of a metric that a filter gave."""
    return "" if filtered in ("", PLAIN) else f"@{filtered}"


def answers_of(found: Mapping[str, Any]) -> int:
    """How many answers the model gave; those of several filters are the same."""
    each = {
        (task, sample["doc_id"]): sum(map(len, sample["resps"]))
        for task, samples in found["samples"].items()
        for sample in samples
    }
    return sum(each.values())


def rows_of(found: Mapping[str, Any], step: int) -> Iterator[tuple[Line, Line]]:
    """Of each document a row as the pages of answers show it, and its line of scores. Where a task
    has several filters, the first says the score."""
    number = 0
    for task, samples in found["samples"].items():
        of_document: dict[int, list[Mapping[str, Any]]] = defaultdict(list)
        for sample in samples:
            of_document[sample["doc_id"]].append(sample)
        for document in sorted(of_document):
            yield _row(task, of_document[document], number, step)
            number += 1


def _row(
    task: str, samples: Sequence[Mapping[str, Any]], number: int, step: int
) -> tuple[Line, Line]:
    first = samples[0]
    prompt = _text(first["arguments"][0][0])
    parts: dict[str, Any] = {}
    score, metric = None, {}
    for sample in samples:
        behind = "" if sample is first else f"@{sample['filter']}"
        for name in sample["metrics"]:
            parts[f"{name}{behind}"] = value = _value(sample.get(name))
            if score is None and value is not None:
                score, metric = value, {"metric": f"{name}{_behind(sample['filter'])}"}
    said = {name: value for name, value in parts.items() if name not in OWN}
    row = {
        "input": prompt, "output": _answer(first), "gts": _text(first["target"]), "score": score,
        "step": step, "uid": f"{number}_0_0", "task": task, **said,
    }  # fmt: skip
    key = sha256(f"{task}\n{prompt}".encode("utf-8", "replace")).hexdigest()[:16]
    numbers = {name: [value] for name, value in said.items()}
    line = {"prompt": key, "task": task, "scores": [score], "tokens": [], "parts": numbers}
    asked, text = shown(row)
    return row, line | metric | {"input": asked, "text": text}


def _answer(sample: Mapping[str, Any]) -> str:
    """What the model said: its text, or of the choices the one that is likeliest."""
    responses = [each[0] for each in sample["resps"]]
    if all(isinstance(each, list | tuple) for each in responses) and len(responses) > 1:
        best = max(range(len(responses)), key=lambda at: responses[at][0])
        return _text(sample["arguments"][best][1])
    return _text(responses[0])


def _value(value: Any) -> float | None:
    """A metric of one document as a number; what is averaged in another way has none."""
    value = value.item() if isinstance(value, np.generic) else value
    is_number = isinstance(value, bool | int | float) and value == value
    return float(value) if is_number and abs(value) < float("inf") else None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)
