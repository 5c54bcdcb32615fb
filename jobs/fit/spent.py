"""What jobs cost so far."""

from jobs.fit.lookups import Lookups
from jobs.models import Job

HOUR = 3600


def cost_of(job: Job, lookups: Lookups | None = None) -> float | None:
    """What its GPUs cost so far by the price table; None where that is not known."""
    if not job.gpus or job.elapsed is None:
        return None
    price = (lookups or Lookups()).known_price(job.machine)
    return price and price * job.gpus * job.elapsed.total_seconds() / HOUR
