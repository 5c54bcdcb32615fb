"""The digest of the node package is the same on a machine and here."""

import os
import subprocess
import sys

from compute.runners.node import NODE, node_digest


def test_a_machine_reckons_the_same_digest() -> None:
    asked = "from trainyard_node.provenance import digest; print(digest())"
    done = subprocess.run(
        [sys.executable, "-c", asked],
        env={**os.environ, "PYTHONPATH": str(NODE.parent)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == node_digest()
