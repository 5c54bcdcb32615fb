import sys
from argparse import ArgumentParser
from getpass import getpass
from pathlib import Path
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import CommandError
from django.forms import Form

from compute import environments, rental
from compute.checks import checking
from compute.ending import endings_of
from compute.machines import groups, host_keys, verbs
from compute.machines.devices import facts_of_nodes
from compute.machines.errors import MachineError
from compute.machines.groups import members_of
from compute.machines.host_keys import Offered
from compute.models import Machine, MachineQuerySet, when
from compute.pages import gpus, ray_form
from compute.pages.forms import FIELDS, GroupForm, MachineForm
from compute.pages.timeline import rows_of
from compute.runners.base import RunnerError
from compute.runners.ssh.setup import Progress
from compute.setup import settingup
from platform_site.commands import FieldError, FormError, JsonCommand
from platform_site.timeline import Wanted
from platform_site.timeline import as_json as as_event

DOES = (
    "add", "list", "show", "gpus", "check", "confirm", "setup", "rental", "events", "remove",
)  # fmt: skip
FILES = ("key", "passphrase", "password")
PLAIN = ("host", "port", "user", "workdir", "python", "verl", "slots")
TIMES = ("confirmed_at", "checked_at", "seen_at", "unreachable_since", "rental_ends_at")
OF_JUMP = ("jump_host", "jump_port", "jump_user")


class Command(JsonCommand):
    help = (
        "Machines that are reached by SSH, and Ray clusters. Secrets are read from a file, or with "
        "- from the standard input; they are never arguments, which every process could read."
    )

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("do", choices=DOES)
        parser.add_argument("name", nargs="?", default="", help="the machine's name")
        for name in PLAIN:
            parser.add_argument(f"--{name}", help="as in the form of the page")
        for name in (*FILES, *(f"jump-{name}" for name in FILES)):
            parser.add_argument(f"--{name}-file", metavar="FILE", help="holds it; - is the input")
        parser.add_argument("--token-file", metavar="FILE", help="of a Ray cluster; - is the input")
        parser.add_argument(
            "--ray",
            metavar="URL",
            default="",
            help="of a Ray cluster's dashboard: http://head:8265",
        )
        parser.add_argument("--jump", metavar="[USER@]HOST[:PORT]", default="")
        parser.add_argument(
            "--members", metavar="A,B=ADDRESS", default="",
            help="machines that train one run together, the head first; an address is where the "
            "others reach it",
        )  # fmt: skip
        parser.add_argument("--fingerprint", help="SHA256:… that the host must show")
        parser.add_argument("--user-name", default="", help="who does it (first administrator)")
        ends = parser.add_mutually_exclusive_group()
        ends.add_argument("--ends", metavar="TIME", help="of the rental: 2026-11-26T18:00")
        ends.add_argument("--in", dest="within", metavar="SPAN", help="of the rental: 6h, 1d 12h")
        ends.add_argument("--none", action="store_true", help="the rental has no end")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            getattr(self, f"do_{options['do']}")(options)
        except (MachineError, RunnerError) as error:
            raise CommandError(str(error)) from None

    def do_list(self, options: dict[str, Any]) -> None:
        data = [as_json(machine) for machine in Machine.objects.kept()]
        self.show(options, data, "\n".join(map(in_a_line, data)))

    def do_show(self, options: dict[str, Any]) -> None:
        data = as_json(found(options))
        self.show(options, data, "\n".join(f"{name:<20} {value}" for name, value in data.items()))

    def do_gpus(self, options: dict[str, Any]) -> None:
        machine = found(options)
        now, endings = gpus.glance_at(machine, None), endings_of(machine, None)
        self.show(options, gpus.as_json(now, endings), gpus.as_text(now, endings))

    def do_add(self, options: dict[str, Any]) -> None:
        if options["members"]:
            self.join(options)
            return
        if options["ray"]:
            self.add_ray(options)
            return
        form = MachineForm(form_data(options))
        refuse(form)
        machine = verbs.add(form.values, form.secrets, who=who(options))
        self.confirm_all(machine, options)

    def add_ray(self, options: dict[str, Any]) -> None:
        form = ray_form.RayForm(ray_data(options))
        refuse(form)
        machine = verbs.add(form.values, form.secrets, who=who(options))
        text = f"{machine} is kept. Before runs go there: manage.py machine check '{machine}'"
        self.show(options, as_json(machine), text)

    def join(self, options: dict[str, Any]) -> None:
        lines = options["members"].replace(",", "\n")
        form = GroupForm({"name": options["name"], "members": lines})
        refuse(form)
        group = groups.join(form.cleaned_data["name"], form.read, who=who(options))
        self.show(options, as_json(group), f"{group} is kept: {as_json(group)['members']}")

    def do_confirm(self, options: dict[str, Any]) -> None:
        self.confirm_all(found(options), options)

    def confirm_all(self, machine: Machine, options: dict[str, Any]) -> None:
        """Its jump host first, where it has one; each is compared by itself."""
        while True:
            try:
                offered = host_keys.offered(machine)
            except RunnerError as error:
                raise CommandError(
                    f"{machine} is kept. {error} Then: manage.py machine confirm {machine}"
                ) from None
            same = offered.known == offered.key.fingerprint
            if not same and not self.agrees(offered, options):
                return self.tell(machine, offered, options)
            if not same:
                host_keys.confirm(machine, offered.key.fingerprint, confirmer(options))
            if offered.hop == "machine":
                return self.tell(machine, offered, options)

    def agrees(self, offered: Offered, options: dict[str, Any]) -> bool:
        given = (options["fingerprint"] or "").split(",")
        if options["fingerprint"]:
            if offered.key.fingerprint in given:
                return True
            raise FieldError(
                "fingerprint",
                f"{offered.host} shows {offered.key.fingerprint}, which was not named. Nothing "
                "was confirmed.",
            )
        if options["json"] or not sys.stdin.isatty():
            return False
        self.stdout.write(in_words(offered))
        return input("Is it the same? Type yes to confirm: ").strip() == "yes"

    def tell(self, machine: Machine, offered: Offered, options: dict[str, Any]) -> None:
        machine.refresh_from_db()
        shown = {
            "host": offered.host,
            "kind": offered.kind,
            "fingerprint": offered.key.fingerprint,
            "compare": offered.compare,
        }
        text = f"{machine} is confirmed: {offered.kind} {offered.key.fingerprint}"
        fingerprint = machine.jump_fingerprint if offered.hop == "jump" else machine.fingerprint
        if fingerprint != offered.key.fingerprint:
            text = (
                f"{in_words(offered)}\nNothing is confirmed yet. When it is the same: manage.py "
                f"machine confirm '{machine}' --fingerprint {offered.key.fingerprint}"
            )
        self.show(options, as_json(machine) | {"shown": shown}, text)

    def do_check(self, options: dict[str, Any]) -> None:
        machine = found(options)
        if not machine.is_confirmed:
            raise MachineError(f"Confirm its host key first: manage.py machine confirm '{machine}'")
        report = checking.check(machine, who=who(options))
        data = {"name": machine.name, "checks": machine.checks, "failed": len(report.failed)}
        self.show(options, data, "\n".join(map(check_in_words, machine.checks)))
        if not report.is_good:
            raise SystemExit(1)

    def do_setup(self, options: dict[str, Any]) -> None:
        machine = found(options)
        progress = Progress() if options["json"] else Printed(self)
        python = settingup.set_up(machine, progress, who=who(options))
        self.show(options, {"name": machine.name, "python": python}, f"Ready: {python}")

    def do_rental(self, options: dict[str, Any]) -> None:
        """Say when the rental ends, after changing that where a time, a span or none is given."""
        machine = found(options)
        if options["ends"]:
            rental.set_end(machine, rental.moment(options["ends"]), who=who(options))
        elif options["within"]:
            rental.set_end(machine, rental.after(options["within"]), who=who(options))
        elif options["none"]:
            rental.set_end(machine, None, who=who(options))
        ends = machine.rental_ends_at
        data = {"name": machine.name, "rental_ends_at": ends and ends.isoformat()}
        verb = "ended" if machine.rental_is_over else "ends"
        text = f"The rental of {machine} {verb} at {when(ends)}." if ends else "It has no end."
        self.show(options, data, text)

    def do_events(self, options: dict[str, Any]) -> None:
        """What happened to a machine, also to one that was removed, oldest first."""
        machine = found(options, Machine.objects.all())
        wanted = Wanted(sort="at")
        events = rows_of(machine, None, wanted).order_by(*wanted.order)
        data = [as_event(row) for row in events]
        self.show(options, data, "\n".join(map(event_in_words, data)) or "Nothing yet.")

    def do_remove(self, options: dict[str, Any]) -> None:
        machine = found(options)
        name, stays = machine.name, verbs.remove(machine, who=who(options))
        kept = " Its jobs keep their history." if stays else ""
        self.show(options, {"removed": name, "kept": stays}, f"{name} is removed.{kept}")


class Printed(Progress):
    def __init__(self, command: Command) -> None:
        self.command = command

    def step(self, title: str) -> None:
        self.command.stdout.write(f"== {title}")

    def log(self, text: str) -> None:
        self.command.stdout.write(text, ending="")
        self.command.stdout.flush()


def refuse(form: Form) -> None:
    if not form.is_valid():
        lines = [f"{name}: {' '.join(map(str, said))}" for name, said in form.errors.items()]
        raise FormError("\n".join(lines), form)


def found(options: dict[str, Any], among: MachineQuerySet | None = None) -> Machine:
    machines = Machine.objects.kept() if among is None else among
    machine = machines.filter(name=options["name"]).first()
    if machine is None:
        told = "There is no machine of that name: manage.py machine list names all."
        raise FieldError("name", told)
    return machine


def confirmer(options: dict[str, Any]) -> User | None:
    named = options["user_name"]
    users = User.objects.filter(username=named) if named else User.objects.filter(is_superuser=True)
    return users.order_by("pk").first()


def who(options: dict[str, Any]) -> str:
    user = confirmer(options)
    return user.get_username() if user else ""


def form_data(options: dict[str, Any]) -> dict[str, Any]:
    fields = MachineForm.base_fields
    data = {name: fields[name].initial for name in FIELDS if fields[name].initial is not None}
    data |= {name: options[name] for name in PLAIN if options[name] is not None}
    data |= jump_of(options["jump"]) | {"name": options["name"]}
    data.setdefault("verl", environments.releases()[0])
    asked = [name for name in secret_files(options) if secret_files(options)[name] == "-"]
    if len(asked) > 1:
        raise CommandError("Only one secret can be read from the standard input.")
    return data | {name: read(name, file) for name, file in secret_files(options).items()}


def ray_data(options: dict[str, Any]) -> dict[str, Any]:
    fields = ray_form.RayForm.base_fields
    first = {name: fields[name].initial for name in ray_form.FIELDS}
    given = {name: options[name] for name in PLAIN if name in first and options[name]}
    data = {name: value for name, value in first.items() if value is not None} | given
    data.setdefault("verl", environments.releases()[0])
    if options["token_file"]:
        data["password"] = read("the token", options["token_file"]).strip()
    return data | {"name": options["name"], "ray_address": options["ray"]}


def secret_files(options: dict[str, Any]) -> dict[str, str]:
    """The file that each secret is in, by the secret's field."""
    named = {
        f"{prefix}{'private_key' if name == 'key' else name}": options[f"{prefix}{name}_file"]
        for prefix in ("", "jump_")
        for name in FILES
    }
    return {name: file for name, file in named.items() if file}


def read(name: str, file: str) -> str:
    if file == "-" and sys.stdin.isatty() and not name.endswith("private_key"):
        return getpass(f"{name}: ")
    try:
        text = sys.stdin.read() if file == "-" else Path(file).expanduser().read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise FieldError(name, f"{file} cannot be read: {error}.") from None
    return text if name.endswith("private_key") else text.removesuffix("\n")


def jump_of(text: str) -> dict[str, str]:
    user, _, place = text.rpartition("@")
    host, _, port = place.partition(":")
    return dict(zip(OF_JUMP, (host, port or "22", user), strict=True)) if text else {}


def as_json(machine: Machine) -> dict[str, Any]:
    named = ("name", "kind", *PLAIN, *OF_JUMP, "ray_address")
    plain = {name: getattr(machine, name) for name in named}
    times = {
        name: value and value.isoformat() for name in TIMES for value in [getattr(machine, name)]
    }
    return (
        plain
        | times
        | {
            "state": machine.state,
            "fingerprint": machine.fingerprint,
            "unreachable_reason": machine.why_unreachable,
            "secrets": [secret.name for secret in machine.secrets.defer("value")],
            "members": [member.machine.name for member in members_of(machine)],
            "nodes": facts_of_nodes(machine),
            "failed": [check["name"] for check in machine.checks if check["outcome"] == "fail"],
        }
    )


def in_a_line(data: dict[str, Any]) -> str:
    where = f"{data['user']}@{data['host']}:{data['port']}" if data["host"] else data["ray_address"]
    ends = f"  rental to {data['rental_ends_at']}" if data["rental_ends_at"] else ""
    told = f"{data['name']:<24} {data['kind']:<6} {data['state']:<12} {data['slots']:>3} {where}"
    return told + ends


def in_words(offered: Offered) -> str:
    before = f"\nConfirmed before: {offered.known}" if offered.is_changed else ""
    return (
        f"{offered.host} shows this {offered.kind} key: {offered.key.fingerprint}{before}\n"
        f"Compare it with what the host itself prints: {offered.compare}"
    )


def check_in_words(check: dict[str, str]) -> str:
    words = " ".join(word for word in (check["found"], check["says"]) if word)
    fix = f"\n{'':<24} fix: {check['fix']}" if check["fix"] else ""
    return f"{check['outcome']:<8} {check['label']:<15} {words}{fix}"


def event_in_words(event: dict[str, Any]) -> str:
    by = f" by {event['who']}" if event["who"] else ""
    job = f"  job {event['job']} ({event['name']})" if event["job"] else ""
    return f"{event['at'][:19].replace('T', ' ')}  {event['kind']}{by}{job}  {event['message']}"
