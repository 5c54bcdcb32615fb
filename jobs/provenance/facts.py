"""What a run was made with, as facts for people."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from compute.runners.node import node_digest
from jobs.models import Job
from jobs.process import Command
from jobs.provenance.reading import VERL, Attempt, part, whole, word
from jobs.verl.configtree import shortened
from platform_site.counts import size_text

SEED, PYTHON = "seed", "Python"
MOST = 50
SHORT = 12  # characters of a digest or a commit
DEVICES = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True)
class Fact:
    """``digest`` is a SHA-256 in hex; empty where nobody computed one. ``note`` is said beside."""

    name: str
    value: str
    url: str = ""
    digest: str = ""
    note: str = ""


def made_of(job: Job) -> list[Fact]:
    """What it read, and what stands in the command that was started."""
    return [*_read(job), *_started(job)]


def _read(job: Job) -> Iterator[Fact]:
    """The artifacts that it reads, in the order of their roles."""
    version = job.dataset_version
    if version is not None:
        url, digest = version.get_absolute_url(), version.sha256
        yield Fact("Data set version", version.label, url, digest)
    for reading in job.inputs.select_related("artifact__version__dataset")[:MOST]:
        artifact = reading.artifact
        if artifact is not None and (version is None or artifact.version_id != version.pk):
            role = str(reading.get_role_display())
            yield Fact(role, artifact.label, artifact.get_absolute_url(), artifact.digest)


def _started(job: Job) -> Iterator[Fact]:
    """Nothing before the start."""
    if not job.command:
        return
    command = Command.from_json(job.command)
    yield Fact(PYTHON, command.argv[0])
    for setting in command.settings:
        if setting.key.rpartition(".")[2].lower().endswith(SEED):
            yield Fact("Seed", setting.text)


def trainyard(attempt: Attempt) -> list[Fact]:
    """Which Trainyard started it, and by which recipe."""
    told = attempt.platform
    if not told:
        return []
    changed = "with changes that are in no commit" if told.get("changed") else ""
    facts = [Fact("Trainyard", word(told, "version") or "unknown")]
    if commit := word(told, "commit"):
        facts.append(Fact("Its commit", commit[:SHORT], note=changed))
    recipe = part(told, "recipe")
    if slug := word(recipe, "slug"):
        gone = "" if recipe.get("digest") else "not to be found when it started"
        title = word(recipe, "title")
        value = f"{title} ({slug})" if title else slug
        facts.append(Fact("Recipe", value, digest=word(recipe, "digest"), note=gone))
    return facts


def software(attempt: Attempt) -> list[Fact]:
    """Verl, PyTorch and Python as the run's own process had them."""
    told, packages, commits = attempt.software, attempt.packages, part(attempt.software, "commits")
    if not told:
        return []
    torch = part(told, "torch")
    built = [f"{name.upper()} {word(torch, name)}" for name in ("cuda", "hip") if name in torch]
    rows = (
        ("verl", packages.get(VERL, ""), _commit(commits, VERL)),
        ("PyTorch", packages.get("torch", ""), ", ".join(f"built for {one}" for one in built)),
        ("transformers", packages.get("transformers", ""), _commit(commits, "transformers")),
        ("vLLM", packages.get("vllm", ""), _commit(commits, "vllm")),
        ("SGLang", packages.get("sglang", ""), _commit(commits, "sglang")),
        (PYTHON, word(told, "python"), word(told, "executable")),
        ("System", word(told, "system"), ""),
    )
    facts = [Fact(name, value, note=note) for name, value, note in rows if value]
    return [*facts, *_node(attempt)]


def _commit(commits: Mapping[str, Any], name: str) -> str:
    found = word(commits, name)
    return f"commit {found[:SHORT]}" if found else ""


def _node(attempt: Attempt) -> Iterator[Fact]:
    """The node package, and whether it is the one that Trainyard had."""
    told, ours = part(attempt.software, "node"), word(attempt.platform, "node")
    digest = word(told, "digest")
    if not digest:
        return
    note = ""
    if ours:
        note = "that of Trainyard" if digest == ours else "not the one that Trainyard had"
    if digest == ours != node_digest():
        note = "that of Trainyard then; it has another now"
    yield Fact("Node package", word(told, "version"), digest=digest, note=note)


def hardware(attempt: Attempt) -> list[Fact]:
    """The machine of the run's first process."""
    told = attempt.hardware
    if not told:
        return []
    cpus, memory = whole(told, "cpus"), whole(told, "memory")
    rows = (
        ("Host", word(told, "host")),
        ("Processors", " ".join(filter(None, (str(cpus or ""), word(told, "cpu"))))),
        ("Memory", size_text(memory) if memory else ""),
        ("GPUs", gpus_text(told.get("gpus"))),
        ("Given to it", _devices(attempt)),
        ("Driver", word(told, "driver")),
        ("CUDA of the driver", word(told, "cuda")),
    )
    return [Fact(name, shortened(value)) for name, value in rows if value]


def gpus_text(told: Any) -> str:
    """``8 NVIDIA H200 of 140 GiB``: equal ones once."""
    if not isinstance(told, list):
        return ""
    counts: dict[str, int] = {}
    for gpu in told:
        if isinstance(gpu, Mapping):
            memory = whole(gpu, "memory")
            size = f" of {size_text(memory)}" if memory else ""
            name = f"{word(gpu, 'name') or 'unnamed'}{size}"
            counts[name] = counts.get(name, 0) + 1
    return "; ".join(f"{count} {name}" for name, count in counts.items()) or "none"


def _devices(attempt: Attempt) -> str:
    """The numbers of the devices that the command names; known of the newest attempt alone."""
    job = attempt.job
    if not job.command or attempt.number != job.attempt or not job.gpus:
        return ""
    devices = Command.from_json(job.command).env.get(DEVICES, "")
    return f"GPU {devices}" if devices else ""


def in_short(attempt: Attempt) -> Sequence[Fact]:
    """The main facts, for the run's own page."""
    wanted = ("Its commit", "Recipe", "verl", "PyTorch", "Node package", "GPUs", "Driver")
    facts = [*trainyard(attempt), *software(attempt), *hardware(attempt)]
    return [fact for fact in facts if fact.name in wanted]
