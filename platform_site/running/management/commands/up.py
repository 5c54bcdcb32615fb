import asyncio
import fcntl
import json
import secrets
import socket
import sys
from argparse import ArgumentParser
from typing import Any, TextIO

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from compute.machines.local import apply_settings
from platform_site.home import lock_of
from platform_site.running.samples import SampleError, make_samples, submit_sample_runs
from platform_site.running.supervisor import Program, Supervisor

WEB = "platform_site.running.web"


class Command(BaseCommand):
    help = "Start Trainyard: web, workers and watcher. The first start makes a user and samples."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, default=8000)
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
        parser.add_argument("--no-samples", action="store_true", help="make no samples")
        parser.add_argument("--json", action="store_true", help="print the start as JSON lines")

    def handle(self, *args: Any, **options: Any) -> None:
        host, port = options["host"], options["port"]
        self.as_json: bool = options["json"]
        with lock_of(settings.TRAINYARD_HOME).open("w") as lock:
            only_one(lock)
            must_be_free(host, port)
            call_command("migrate", verbosity=0, interactive=False)
            apply_settings()
            self.first_start(samples=not options["no_samples"])
            url = f"http://{f'[{host}]' if ':' in host else host}:{port}/"
            self.say("up", f"Trainyard is at {url}  (Ctrl-C stops it; training goes on)", url=url)
            asyncio.run(Supervisor(programs(host, port), self.say).run())
        self.say("stopped", "Stopped. Training that was running goes on.")

    def first_start(self, *, samples: bool) -> None:
        """Make the first user and the samples; the next start completes one that was cut off."""
        self.make_admin()
        done = settings.TRAINYARD_HOME / "samples-submitted"
        if not samples or done.exists():
            return
        try:
            text = "Making the sample model and data: about half a minute, this once."
            self.say("samples", text)
            make_samples()
            submit_sample_runs(User.objects.filter(is_superuser=True).earliest("pk"))
            done.touch()
        except (SampleError, User.DoesNotExist) as error:
            self.stderr.write(str(error))

    def make_admin(self) -> None:
        """Make the first user. The password is shown now and never again."""
        if User.objects.exists():
            return
        password = secrets.token_urlsafe(12)
        User.objects.create_superuser("admin", password=password)
        text = f"\n  User      admin\n  Password  {password}\n\n  It is not shown again.\n"
        self.say("user", text, user="admin", password=password)

    def say(self, event: str, text: str, **data: object) -> None:
        line = json.dumps({"event": event, "message": text.strip(), **data})
        self.stdout.write(line if self.as_json else text)
        self.stdout.flush()


def only_one(lock: TextIO) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        home = settings.TRAINYARD_HOME
        raise CommandError(
            f"Trainyard already runs on {home}. Set TRAINYARD_HOME for a second one."
        ) from None


def must_be_free(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, OverflowError) as error:
            raise CommandError(
                f"Port {port} on {host} cannot be used ({error}). Try --port {port + 1}."
            ) from None


def programs(host: str, port: int) -> list[Program]:
    manage = [sys.executable, str(settings.BASE_DIR / "manage.py")]
    endpoint = f"tcp:{port}:interface={host.replace(':', chr(92) + ':')}"
    web = [sys.executable, "-m", WEB, "-v", "0", "-e", endpoint]
    return [
        Program("web", [*web, "platform_site.asgi:application"]),
        Program("workers", [*manage, "qcluster"]),
        Program("watcher", [*manage, "watchjobs"]),
    ]
