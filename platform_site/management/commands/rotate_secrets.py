import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from platform_site import secrets


class Command(BaseCommand):
    help = (
        "Encrypt all stored secrets anew, with a new key, or with the first key of "
        f"{secrets.VARIABLE} where that is set."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="print JSON")
        parser.add_argument(
            "--forget", action="store_true", help="remove the older keys from the home folder"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        given = bool(secrets.given_keys())
        if given and options["forget"]:
            raise CommandError(f"The keys come from {secrets.VARIABLE}: remove the old ones there.")
        try:
            count = rotate(given)
        except secrets.SecretError as error:
            raise CommandError(str(error)) from None
        forgotten = secrets.forget_old_keys() if options["forget"] else 0
        data = {"secrets": count, "keys": len(secrets.all_keys()), "forgotten": forgotten}
        text = f"{count} encrypted with the newest of {data['keys']} keys; {forgotten} forgotten."
        self.stdout.write(json.dumps(data) if options["json"] else text)


def rotate(given: bool) -> int:
    if not given:
        secrets.add_key()
    return secrets.reencrypt()
