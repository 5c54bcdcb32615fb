"""What the platform costs a run: the sample SFT through it, and the same command in a shell.

The two take turns at going first. In the shell the platform is not running at all; through the
platform, web, workers and watcher run beside it and the wrapper's start counts.
"""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from jobs.models import Job
from tests.bench.start import end_all
from tests.e2e.site import Site, wait_for

TURNS = 4
Way = Callable[[Site], float]


def measure(site: Site) -> dict[str, float]:
    site.start()
    end_all(site)
    site.stop()
    in_shell(site)  # what comes first finds cold caches
    seconds: dict[Way, list[float]] = {in_shell: [], through_platform: []}
    for turn in range(TURNS):
        for way in sorted(seconds, key=lambda way: (way is in_shell) == bool(turn % 2)):
            seconds[way].append(way(site))
    shell, platform = seconds[in_shell], seconds[through_platform]
    return {
        "in a shell: median [s]": median(shell),
        "through the platform: median [s]": median(platform),
        "through the platform / in a shell": median(platform) / median(shell),
        "spread of the runs in a shell [s]": max(shell) - min(shell),
        "spread of the runs through the platform [s]": max(platform) - min(platform),
    }


def in_shell(site: Site) -> float:
    preview = site.manage("preview", "sample-sft")
    folder = Path(preview["cwd"])
    folder.mkdir(parents=True)
    script = folder / "run.sh"
    script.write_text(preview["script"])
    with (folder / "train.log").open("wb") as log:
        began = time.monotonic()
        subprocess.run(["bash", str(script)], stdout=log, stderr=log, check=True)
        return time.monotonic() - began


def through_platform(site: Site) -> float:
    """Seconds from the claim of the job, before anything is started, to the exit code."""
    site.start()
    try:
        pk = site.manage("submit", "sample-sft")["id"]
        wait_for(lambda: Job.objects.get(pk=pk).has_ended, f"job {pk}", 300, 0.5)
        job = Job.objects.get(pk=pk)
        assert job.status == "completed", job.reason
        assert job.started_at
        verdict = Path(job.run_dir) / "exit_code"
        return verdict.stat().st_mtime - job.started_at.timestamp()
    finally:
        site.stop()
