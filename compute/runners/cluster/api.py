"""Asks Ray's Jobs API over HTTP, within bounds. The package ray is not needed here."""

import json
import logging
import re
import threading
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

from compute.runners.base import LoginRefused, RunnerError, RunnerUnsure, Unreachable

ANSWERS_WITHIN = 15.0  # seconds
CONNECT_WITHIN = 5.0
SENT_WITHIN = 300.0  # for a package
MOST = 4 << 20  # bytes of an answer
MOST_LOG = 64 << 20  # the answer to a small question is in a log
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0  # seconds before an address that was not reached is tried
# Each question would be a line in the log.
for _name in ("httpx", "httpcore", "websockets"):
    logging.getLogger(_name).setLevel(logging.WARNING)
ENDED = frozenset({"SUCCEEDED", "FAILED", "STOPPED"})


class Refused(RunnerError):
    """Ray refused; ``code`` is the status of HTTP."""

    def __init__(self, code: int, said: str) -> None:
        super().__init__(said)
        self.code = code


@dataclass(frozen=True)
class JobInfo:
    """What Ray says of a job. ``node`` is where it runs, empty before it does."""

    status: str
    message: str
    node: str

    @property
    def has_ended(self) -> bool:
        return self.status in ENDED


@dataclass(frozen=True)
class Node:
    """A living node of the cluster."""

    id: str
    name: str
    is_head: bool
    cpus: float
    gpus: float

    def to_json(self) -> dict[str, Any]:
        plain = {"id": self.id, "name": self.name, "is_head": self.is_head}
        return plain | {"cpus": int(self.cpus), "gpus": int(self.gpus)}


class RayApi:
    """One dashboard, for all threads of this process."""

    def __init__(self, address: str, token: str = "") -> None:
        self.address, self.token = address.rstrip("/"), token
        limits = httpx.Timeout(ANSWERS_WITHIN, connect=CONNECT_WITHIN)
        # Straight to the address: a proxy of this site's own surroundings knows no cluster.
        self._client = httpx.Client(
            base_url=self.address, headers=self.headers, timeout=limits, trust_env=False
        )
        self._lock = threading.Lock()
        self._failure: Unreachable | None = None
        self._since = self._next_try = self._pause = 0.0

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    @property
    def host(self) -> str:
        return urlsplit(self.address).netloc

    def version(self) -> tuple[str, float]:
        """The cluster's release of Ray, and its clock in epoch seconds."""
        response, data = self._ask("GET", "/api/version")
        found = _object(data, self.host)
        if not isinstance(found.get("ray_version"), str):
            raise RunnerError(f"{self.host} answers, but is no Ray: it tells no version of it.")
        return found["ray_version"][:40], _clock(response)

    def nodes(self) -> list[Node]:
        """The living ones, the head first."""
        _, data = self._ask("GET", "/api/v0/nodes?detail=true&limit=1000")
        try:
            rows = _object(data, self.host)["data"]["result"]["result"]
            found = [_node(row) for row in rows if row["state"] == "ALIVE"]
        except (KeyError, TypeError, ValueError):
            raise RunnerError(f"{self.host} does not say what its nodes are.") from None
        return sorted(found, key=lambda node: (not node.is_head, node.name, node.id))

    def load(self) -> list[dict[str, Any]]:
        """What each node's own agent measured last."""
        _, data = self._ask("GET", "/nodes?view=summary", most=MOST_LOG)
        try:
            return [dict(one) for one in _object(data, self.host)["data"]["summary"]]
        except (KeyError, TypeError, ValueError):
            raise RunnerError(f"{self.host} does not say how busy its nodes are.") from None

    def submit(self, order: dict[str, Any]) -> None:
        """Raises ``Refused``, or ``RunnerUnsure`` when it may have begun."""
        self._ask("POST", "/api/jobs/", content=json.dumps(order).encode())

    def job(self, name: str) -> JobInfo | None:
        """None where the cluster does not know the job, or has forgotten it."""
        try:
            _, data = self._ask("GET", f"/api/jobs/{quote(name, safe='')}")
        except Refused as error:
            # Ray's own words are looked for: a proxy in front answers 404, too, while Ray is away.
            if error.code == 404 and "does not exist" in str(error):
                return None
            raise
        found = _object(data, self.host)
        if not isinstance(found.get("status"), str):
            raise RunnerError(f"{self.host} does not say how its job stands.")
        texts = (str(found.get(key) or "") for key in ("status", "message", "driver_node_id"))
        return JobInfo(*texts)

    def ended(self, beginning: str) -> list[str]:
        """Jobs whose names begin so, and which ended a minute or more before the last job did."""
        _, data = self._ask("GET", "/api/jobs/", most=MOST_LOG)
        try:
            rows = [row for row in json.loads(data) if row.get("submission_id")]
            ended = [row for row in rows if row["status"] in ENDED and row.get("end_time")]
            at = {str(row["submission_id"]): float(row["end_time"]) / 1000 for row in ended}
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
            raise RunnerError(f"{self.host} does not say which jobs it has.") from None
        last = max(at.values(), default=0.0)
        return [name for name in at if name.startswith(beginning) and at[name] < last - 60]

    def log(self, name: str) -> str:
        """The whole log of a job. For small logs only: it comes in one answer."""
        path = f"/api/jobs/{quote(name, safe='')}/logs"
        _, data = self._ask("GET", path, most=MOST_LOG, within=60.0)
        return str(_object(data, self.host).get("logs") or "")

    def stop(self, name: str) -> None:
        """Ask Ray to end a job. One that it does not know is none."""
        self._unless_gone("POST", f"/api/jobs/{quote(name, safe='')}/stop")

    def forget(self, name: str) -> None:
        """Let an ended job leave the cluster's list."""
        self._unless_gone("DELETE", f"/api/jobs/{quote(name, safe='')}")

    def bring(self, package: str, data: bytes) -> None:
        """Make sure that the cluster has the package of this name; it is not sent twice."""
        path = f"/api/packages/gcs/{package}"
        try:
            self._ask("GET", path)  # which keeps it there for some minutes, too
        except Refused as error:
            if error.code != 404:
                raise
            self._ask("PUT", path, content=data, within=SENT_WITHIN)

    def retry_now(self) -> None:
        with self._lock:
            self._next_try = self._pause = 0.0

    def _unless_gone(self, method: str, path: str) -> None:
        try:
            self._ask(method, path)
        except Refused as error:
            if error.code != 404:
                raise

    def _ask(
        self,
        method: str,
        path: str,
        content: bytes | None = None,
        within: float | None = None,
        most: int = MOST,
    ) -> tuple[httpx.Response, bytes]:
        self._wait_out()
        within = within or ANSWERS_WITHIN
        try:
            found = self._send(method, path, content, within, most)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise self._failed(f"There is no answer at {self.host} ({_why(error)}).") from error
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            if method == "POST":  # it may have arrived
                raise RunnerUnsure(f"{self.host} gave no answer ({_why(error)}).") from error
            raise self._failed(f"{self.host} gave no answer ({_why(error)}).") from error
        with self._lock:
            self._failure, self._pause = None, 0.0
        return found

    def _send(
        self, method: str, path: str, content: bytes | None, within: float, most: int
    ) -> tuple[httpx.Response, bytes]:
        deadline, data = time.monotonic() + within, bytearray()
        limits = httpx.Timeout(within, connect=CONNECT_WITHIN)
        with self._client.stream(method, path, content=content, timeout=limits) as response:
            for part in response.iter_bytes():
                data += part
                if len(data) > most:
                    raise RunnerError(f"{self.host} answers more than {most >> 20} MiB to this.")
                if time.monotonic() > deadline:
                    raise TimeoutError("it came too slowly")
        if response.status_code in (401, 403):
            raise self._failed(_no_entry(self.host, self.token), LoginRefused)
        if not response.is_success:
            raise Refused(response.status_code, _last_line(bytes(data), response.status_code))
        return response, bytes(data)

    def _wait_out(self) -> None:
        with self._lock:
            if self._failure and time.monotonic() < self._next_try:
                left = self._next_try - time.monotonic()
                error = type(self._failure)(f"{self._failure} It is tried again in {left:.0f} s.")
                error.since = self._since
                raise error

    def _failed(self, said: str, kind: type[Unreachable] = Unreachable) -> Unreachable:
        with self._lock:
            if self._failure is None:
                self._since = time.time()
            self._pause = min(self._pause * 2 or FIRST_PAUSE, LONGEST_PAUSE)
            self._next_try = time.monotonic() + self._pause
            self._failure = kind(said)
            self._failure.since = self._since
            return self._failure


@lru_cache(maxsize=64)
def api_of(address: str, token: str) -> RayApi:
    """The same object for the same address, so that its connections are used again."""
    return RayApi(address, token)


def _object(data: bytes, host: str) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise RunnerError(f"{host} answers, but not as Ray's dashboard does.")
    return found


def _node(row: dict[str, Any]) -> Node:
    has = row["resources_total"]
    amounts = (float(has.get(name, 0)) for name in ("CPU", "GPU"))
    return Node(str(row["node_id"]), str(row["node_ip"])[:100], bool(row["is_head_node"]), *amounts)


def _clock(response: httpx.Response) -> float:
    """HTTP tells whole seconds, of which half of one has passed on average."""
    try:
        return parsedate_to_datetime(response.headers["date"]).timestamp() + 0.5
    except (KeyError, ValueError):
        return time.time()


def _why(error: Exception) -> str:
    return str(error).strip() or type(error).__name__


def _no_entry(host: str, token: str) -> str:
    has = "refuses the token that is kept for it" if token else "asks for a token, and none is kept"
    return f"Ray at {host} {has}."


def _last_line(data: bytes, code: int) -> str:
    """Ray answers with a whole traceback; what went wrong is in its last line of words."""
    lines = data[-20_000:].decode(errors="replace").strip().splitlines()
    said = next((line.strip()[:500] for line in reversed(lines) if re.search(r"\w", line)), "")
    return f"Ray refused it ({code}): {said}" if said else f"Ray refused it ({code})."
