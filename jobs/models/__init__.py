"""The tables of jobs and of all that belongs to one. Django finds them by these names."""

from jobs.models.artifacts import (
    Artifact,
    ArtifactQuerySet,
    JobInput,
    Place,
    PlaceQuerySet,
    Removal,
)
from jobs.models.digests import KnownDigest
from jobs.models.jobs import (
    ACTIVE,
    CAN_RESUME,
    ENDED,
    HELD,
    NEEDS_ATTENTION,
    Event,
    Fetch,
    Job,
    JobQuerySet,
    Lease,
    Priority,
    SavedRecipe,
    Status,
)
from jobs.models.secrets import TrackerSecret

__all__ = [
    "ACTIVE",
    "CAN_RESUME",
    "ENDED",
    "HELD",
    "NEEDS_ATTENTION",
    "Artifact",
    "ArtifactQuerySet",
    "Event",
    "Fetch",
    "Job",
    "JobInput",
    "JobQuerySet",
    "KnownDigest",
    "Lease",
    "Place",
    "PlaceQuerySet",
    "Priority",
    "Removal",
    "SavedRecipe",
    "Status",
    "TrackerSecret",
]
