"""What an artifact or a job was made from, and what was made from it, as two trees."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from django.contrib.auth.models import User

from jobs.models import Artifact, ArtifactQuerySet, Job, JobInput, JobQuerySet

Way: TypeAlias = Literal["up", "down"]
MOST_NODES = 400  # of one tree
MOST_LEVELS = 60


@dataclass
class Node:
    """An artifact or a job. ``role`` is as what it is read, or reads, by the one above it.

    ``is_repeated``: it stands elsewhere in the tree with all that follows from it. ``unread``
    counts, by their kind, what a job made that nothing has read.
    """

    row: Artifact | Job
    role: str = ""
    more: list["Node"] = field(default_factory=list)
    is_repeated: bool = False
    unread: dict[str, int] = field(default_factory=dict)

    @property
    def is_job(self) -> bool:
        return isinstance(self.row, Job)

    @property
    def key(self) -> tuple[bool, int]:
        return self.is_job, self.row.pk

    def as_json(self) -> dict[str, Any]:
        sort = "job" if self.is_job else "artifact"
        told = {"is": sort, "id": self.row.pk, "name": name_of(self.row)}
        told |= {"role": self.role} if self.role else {}
        told |= {"repeated": True} if self.is_repeated else {}
        told |= {"unread": self.unread} if self.unread else {}
        return told | ({"more": [each.as_json() for each in self.more]} if self.more else {})


@dataclass
class Tree:
    """``is_cut``: there is more than is shown."""

    root: Node
    is_cut: bool = False


def lineage(row: Artifact | Job, way: Way, user: User | None = None) -> Tree:
    """What led to it (up) or what came of it (down), as far as the user may see it.

    A level takes at most four queries, however many nodes it has.
    """
    tree, growing = Tree(Node(row)), _Growing(way, user)
    seen, level = {tree.root.key}, [tree.root]
    for _ in range(MOST_LEVELS):
        growing.grow(level)
        level = [child for node in level for child in node.more]
        for node in level:
            node.is_repeated = node.key in seen
            seen.add(node.key)
        level = [node for node in level if not node.is_repeated]
        if not level:
            return tree
        if len(seen) > MOST_NODES:
            break
    tree.is_cut = True
    return tree


def name_of(row: Artifact | Job) -> str:
    """What it is called where nothing else says of whom it is."""
    if isinstance(row, Job):
        return row.name
    return f"{row.label} of job {row.job_id}" if row.job_id else row.label


class _Growing:
    """Adds the next level to nodes."""

    def __init__(self, way: Way, user: User | None) -> None:
        self.way, self.user, self.is_first = way, user, True

    def grow(self, level: Sequence[Node]) -> None:
        jobs = {node.row.pk: node for node in level if node.is_job}
        artifacts = {node.row.pk: node for node in level if not node.is_job}
        if self.way == "up":
            self._makers(artifacts.values())
            self._read_by(jobs)
        else:
            self._readers(artifacts)
            self._made_by(jobs)
            self._heirs(jobs)
        self.is_first = False

    def _makers(self, nodes: Iterable[Node]) -> None:
        wanted = {node.row.job_id for node in nodes if isinstance(node.row, Artifact)}
        jobs = self._jobs().in_bulk([pk for pk in wanted if pk is not None])
        for node in nodes:
            if isinstance(node.row, Artifact) and node.row.job_id in jobs:
                node.more.append(Node(jobs[node.row.job_id]))

    def _read_by(self, jobs: dict[int, Node]) -> None:
        inputs = JobInput.objects.filter(job__in=jobs)
        rows = list(inputs.values_list("job", "role", "artifact", "source"))
        artifacts = self._artifacts().in_bulk([artifact for _, _, artifact, _ in rows if artifact])
        sources = self._jobs().in_bulk([source for _, _, _, source in rows if source])
        for job, role, artifact, source in rows:
            found = artifacts.get(artifact) if artifact else sources.get(source)
            if found:
                jobs[job].more.append(Node(found, _words(role)))

    def _readers(self, artifacts: dict[int, Node]) -> None:
        self._add_jobs("artifact", JobInput.objects.filter(artifact__in=artifacts), artifacts)

    def _heirs(self, jobs: dict[int, Node]) -> None:
        """Those that wait for what the job has yet to make."""
        self._add_jobs("source", JobInput.objects.awaited().filter(source__in=jobs), jobs)

    def _add_jobs(self, field: str, inputs: Any, nodes: dict[int, Node]) -> None:
        rows = list(inputs.values_list(field, "role", "job"))
        readers = self._jobs().in_bulk([job for _, _, job in rows])
        for pk, role, job in rows:
            if job in readers:
                nodes[pk].more.append(Node(readers[job], _words(role)))

    def _made_by(self, jobs: dict[int, Node]) -> None:
        made = self._artifacts().filter(job__in=jobs)
        read = set(
            JobInput.objects.filter(artifact__job__in=jobs).values_list("artifact", flat=True)
        )
        for artifact in made.order_by("-attempt", "-step", "-pk"):
            node = jobs[artifact.job_id or 0]
            # Of what the page is about, all is shown; further on, what led to something.
            if artifact.pk in read or self.is_first:
                node.more.append(Node(artifact))
            else:
                kind = str(artifact.get_kind_display()).lower()
                node.unread[kind] = node.unread.get(kind, 0) + 1

    def _jobs(self) -> JobQuerySet:
        jobs = Job.objects.defer("spec", "command")
        return jobs if self.user is None else jobs.visible_to(self.user)

    def _artifacts(self) -> ArtifactQuerySet:
        artifacts = Artifact.objects.all().with_state()
        return artifacts if self.user is None else artifacts.visible_to(self.user)


def _words(role: str) -> str:
    return str(JobInput.Role(role).label).lower()


def lines(node: Node, depth: int = 0) -> Iterator[str]:
    """The tree as indented lines, for a terminal."""
    sort = "job" if node.is_job else "artifact"
    role = f" as {node.role}" if node.role else ""
    unread = "".join(f", and {count} {kind}(s) unread" for kind, count in node.unread.items())
    above = " (see above)" if node.is_repeated else ""
    yield f"{'  ' * depth}{sort} {node.row.pk}: {name_of(node.row)}{role}{unread}{above}"
    for each in node.more:
        yield from lines(each, depth + 1)
