"""The tables of jobs and of all that belongs to one. Django finds them by these names."""

from jobs.models.artifacts import (
    Artifact,
    ArtifactQuerySet,
    JobInput,
    Place,
    PlaceQuerySet,
    Removal,
)
from jobs.models.deletions import Deletion
from jobs.models.digests import KnownDigest
from jobs.models.events import Event, EventQuerySet
from jobs.models.gates import Gate
from jobs.models.jobs import (
    ACTIVE,
    CAN_RESUME,
    ENDED,
    HELD,
    NEEDS_ATTENTION,
    Fetch,
    Job,
    JobQuerySet,
    Lease,
    Priority,
    Status,
)
from jobs.models.marks import LONGEST_TAG, PLAIN_TAG, ListColumns, PinnedJob, SavedView, Tag
from jobs.models.outcomes import Outcome, OutcomeQuerySet
from jobs.models.provenance import Provenance
from jobs.models.recipes import SavedRecipe
from jobs.models.rehearsals import Rehearsal
from jobs.models.secrets import TrackerSecret

__all__ = [
    "ACTIVE",
    "CAN_RESUME",
    "ENDED",
    "HELD",
    "LONGEST_TAG",
    "NEEDS_ATTENTION",
    "PLAIN_TAG",
    "Artifact",
    "ArtifactQuerySet",
    "Deletion",
    "Event",
    "EventQuerySet",
    "Fetch",
    "Gate",
    "Job",
    "JobInput",
    "JobQuerySet",
    "KnownDigest",
    "Lease",
    "ListColumns",
    "Outcome",
    "OutcomeQuerySet",
    "PinnedJob",
    "Place",
    "PlaceQuerySet",
    "Priority",
    "Provenance",
    "Rehearsal",
    "Removal",
    "SavedRecipe",
    "SavedView",
    "Status",
    "Tag",
    "TrackerSecret",
]
