"""Exit code 0 when PostgreSQL and Redis answer on loopback."""

import socket
import sys

PORTS = (5432, 6379)


def answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(2)
        return probe.connect_ex(("127.0.0.1", port)) == 0


if __name__ == "__main__":
    sys.exit(0 if all(answers(port) for port in PORTS) else 1)
