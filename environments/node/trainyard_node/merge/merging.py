"""A merge from its recipe to the folder: tensor by tensor, in chunks, so that memory is bounded."""

import concurrent.futures as futures
import contextlib
import ctypes
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from trainyard_node.export.place import check_space, check_target, is_no_space
from trainyard_node.export.refused import Refused
from trainyard_node.export.told import size_of
from trainyard_node.merge.aligned import aligned
from trainyard_node.merge.budget import Budget, need_of
from trainyard_node.merge.folder import check_beside, complete, config_of
from trainyard_node.merge.inputs import Inputs, is_finite
from trainyard_node.merge.journal import Journal, identity_of, sync, sync_folder, working_folder
from trainyard_node.merge.layout import Piece, layout
from trainyard_node.merge.methods import ALL, IGNORED, SHARED
from trainyard_node.merge.noise import seed_for
from trainyard_node.merge.passes import merged
from trainyard_node.merge.recipe import Recipe, resolved, settings_of
from trainyard_node.merge.rules.base import Rule, Values
from trainyard_node.merge.shape import rows_and_width
from trainyard_node.merge.stored import Stored
from trainyard_node.merge.vocabularies import Vocabulary, vocabulary_of
from trainyard_node.merge.writer import Shard, ShardFile, shards, write_index
from trainyard_node.shards.opening import open_named

SHARD = 5_000_000_000  # bytes
SAFE_EVERY = 1 << 30  # bytes after which what is written is made safe and journalled
TOLD_EVERY = 0.5  # seconds
M_MMAP_THRESHOLD, M_TRIM_THRESHOLD, M_ARENA_MAX = -3, -1, -8  # of glibc's mallopt
KEPT_BY_MALLOC = 1 << 28


@dataclass(frozen=True)
class Plan:
    """A merge that can be done: its tensors, its files and its models."""

    recipe: Recipe
    models: Mapping[str, Stored]
    pieces: tuple[Piece, ...]
    shards: tuple[Shard, ...]
    vocabulary: Vocabulary | None = None  # where the tokenizer is not just the base's

    @property
    def files(self) -> list[Path]:
        """All files that the weights of the result come from."""
        found = {file for stored in self.models.values() for file in stored.files}
        return sorted(found.union(self.vocabulary.files if self.vocabulary else []))

    @property
    def bytes_out(self) -> int:
        return sum(shard.size for shard in self.shards)

    @property
    def bytes_in(self) -> int:
        return sum(entry.bytes for piece in self.pieces for entry in piece.inputs)


@dataclass
class Progress:
    """What was done of a merge so far; bytes read count each pass."""

    tensors: int = 0
    of_tensors: int = 0
    bytes_written: int = 0
    bytes_read: int = 0
    tell: Callable[["Progress"], None] = field(default=lambda _: None, repr=False)
    _told_at: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, written: int, read: int) -> None:
        """So many bytes more were written, and so many read in all."""
        with self._lock:
            self.bytes_written += written
            self.bytes_read = max(read, self.bytes_read)
            if time.monotonic() - self._told_at < TOLD_EVERY:
                return
            self._told_at = time.monotonic()
        self.say()

    def say(self) -> None:
        with contextlib.suppress(OSError):  # nobody listens any more
            self.tell(self)


def plan(
    recipe: Recipe, shard_bytes: int = SHARD, change: Callable[[Stored], Stored] | None = None
) -> Plan:
    """Look at all that is known before the work. `change` gives another view of each model.
    Raises Refused."""
    models = {name: open_named(name) for name in recipe.models}
    for stored in models.values():
        if "quantization_config" in stored.config:
            raise Refused(f"{stored.root} is quantised: take the model that it was made of.")
    if change:
        models = {name: change(stored) for name, stored in models.items()}
    vocabulary = None
    if recipe.tokenizer.source:
        base = recipe.base or recipe.models[0]
        vocabulary = vocabulary_of(recipe.tokenizer, models, base)
        models = aligned(recipe, models, vocabulary)
    pieces = tuple(layout(recipe, models))
    for piece in pieces:
        recipe.method.rule(_values(piece, recipe))
    check_beside(recipe, models)
    config_of(recipe, models, pieces)
    return Plan(recipe, models, pieces, tuple(shards(pieces, shard_bytes)), vocabulary)


def merge(made: Plan, target: Path, progress: Progress | None = None) -> Path:
    """Make `target`, or finish it where an earlier start was interrupted. Raises Refused, and then
    leaves nothing behind."""
    check_apart(made, target)
    _keep_memory()
    headers = [shard.header() for shard in made.shards]
    identity = identity_of(made.recipe.text, headers, made.files)
    journal = Journal(target, identity)
    if journal.is_finished:
        journal.finish_again()
        return target
    try:
        for stored in made.models.values():
            stored.watch()
        if not journal.done:
            check_space(target.parent, made.bytes_out)
        _write_all(made, journal, progress or Progress())
        complete(made.recipe, made.models, made.pieces, journal.folder, made.vocabulary)
        write_index(journal.folder, made.shards)
        for path in journal.folder.iterdir():
            sync(path)
        if identity_of(made.recipe.text, headers, made.files) != identity:
            raise Refused("A file of the inputs was changed during the merge: start it again.")
        journal.finish()
    except Refused:
        journal.drop()
        raise
    except OSError as error:
        if is_no_space(error):
            journal.drop()
        raise
    finally:
        journal.close()
    return target


def check(made: Plan, target: Path) -> None:
    """Raises Refused where `target` cannot be made of the plan; nothing is written."""
    check_apart(made, target)
    left = working_folder(target)  # of an interrupted merge, which goes on in it
    check_target(target, made.bytes_out - (size_of(left) if left.is_dir() else 0))


def check_apart(made: Plan, target: Path) -> None:
    """Raises Refused where the result would lie in an input, or an input in the result."""
    real = target.resolve()
    for root in (root for stored in made.models.values() for root in stored.roots):
        folder = root.resolve()
        if real == folder or folder in real.parents:
            raise Refused(f"{target} lies in {root}, which is an input.")
        if real in folder.parents:
            raise Refused(f"{root} is an input and lies in {target}.")


def _write_all(made: Plan, journal: Journal, progress: Progress) -> None:
    progress.of_tensors, before = len(made.pieces), 0
    by_name = {piece.name: piece for piece in made.pieces}
    for shard in made.shards:
        pieces = [by_name[each.name] for each in shard.tensors]
        left = pieces[max(0, journal.done - before) :]
        progress.bytes_written += shard.size - sum(piece.bytes for piece in left)
        before += len(pieces)
        if left:
            file = ShardFile(journal.folder, shard)
            sync_folder(journal.folder)
            _write_shard(left, made, file, journal, progress)
    progress.say()


def _write_shard(
    pieces: list[Piece], made: Plan, file: ShardFile, journal: Journal, progress: Progress
) -> None:
    """Several tensors at a time. The journal counts those before which none is missing."""
    unsafe, budget = 0, Budget()
    pool = futures.ThreadPoolExecutor(_threads(), initializer=torch.set_num_threads, initargs=(1,))
    try:
        for size in pool.map(lambda piece: _write_one(piece, made, file, progress, budget), pieces):
            progress.tensors = journal.made = journal.made + 1
            unsafe += size
            if unsafe > SAFE_EVERY:
                file.sync()
                journal.advance()
                unsafe = 0
        file.sync()
        journal.advance()
    finally:
        pool.shutdown(cancel_futures=True)
        file.close()


def _write_one(
    piece: Piece, made: Plan, file: ShardFile, progress: Progress, budget: Budget
) -> int:
    at, rule = 0, rule_of(piece, made)
    with budget.held(need_of(piece, rule)):
        for rows in rows_of(piece, made, rule):
            out = rows.to(piece.dtype)
            if not is_finite(out):
                raise Refused(
                    f"{piece.name} would hold NaN or values that {piece.dtype} cannot hold."
                )
            written = file.write(piece.name, at, out)
            at += written
            progress.add(written, sum(each.bytes_read for each in made.models.values()))
    return piece.bytes


def _threads() -> int:
    """One for each core that this process may use: a tensor's own operations take one thread."""
    return max(1, len(os.sched_getaffinity(0)))


def rule_of(piece: Piece, made: Plan) -> Rule:
    """How one tensor of the result is merged."""
    return made.recipe.method.rule(_values(piece, made.recipe))


def rows_of(piece: Piece, made: Plan, rule: Rule | None = None) -> Iterator[Tensor]:
    """One tensor of the result in rows, in the working precision. Raises Refused."""
    stored = [made.models[source.model] for source in piece.of.sources]
    if not piece.dtype.is_floating_point:
        yield from _agreed(piece, stored)
        return
    rule = rule or rule_of(piece, made)
    ignores = made.recipe.method.base == IGNORED
    inputs = Inputs(piece, stored, None if ignores else piece.of.base_index)
    try:
        yield from merged(rule, inputs.chunks, inputs.sample)
    except ArithmeticError as error:
        raise Refused(f"{piece.name} cannot be merged with these parameters: {error}.") from error


def _agreed(piece: Piece, stored: list[Stored]) -> Iterator[Tensor]:
    """A tensor of whole numbers, which all inputs must have alike."""
    rows, _ = rows_and_width(piece.shape)
    found = [
        each.rows(entry.name, 0, rows) for each, entry in zip(stored, piece.inputs, strict=True)
    ]
    if any(not torch.equal(found[0], other) for other in found[1:]):
        raise Refused(f"{piece.name} has whole numbers that differ between the models.")
    yield found[0]


def _values(piece: Piece, recipe: Recipe) -> Values:
    """The parameters of one tensor."""
    method, of = recipe.method, piece.of
    shared, each = {}, {}
    base_index = None if method.base == IGNORED else of.base_index
    for parameter in method.parameters:
        if parameter.of == SHARED:
            shared[parameter.name] = resolved(
                parameter, settings_of(recipe, of, None), piece.name, piece.depth
            )
            continue
        each[parameter.name] = [
            resolved(parameter, settings_of(recipe, of, source), entry.name, piece.depth)
            for index, (source, entry) in enumerate(zip(of.sources, piece.inputs, strict=True))
            if parameter.of == ALL or index != base_index
        ]
    others = [index for index in range(len(of.sources)) if index != base_index]
    seeds = [seed_for(recipe.seed, index, piece.name) for index in others]
    return Values(piece.shape, shared, each, seeds)


def _keep_memory() -> None:
    """Have malloc keep freed chunks: each would be mapped, zeroed and unmapped anew otherwise. All
    threads share what is kept, so that it does not grow with their number."""
    try:
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(M_ARENA_MAX, 1)
        libc.mallopt(M_MMAP_THRESHOLD, KEPT_BY_MALLOC)
        libc.mallopt(M_TRIM_THRESHOLD, KEPT_BY_MALLOC)
    except (OSError, AttributeError):
        return
