"""How long the calculator takes to answer: whole, as its user types, and with every card.

By the clock, and by the time that the web process itself takes of a core for a page.
"""

from collections.abc import Callable

import psutil
from playwright.sync_api import APIResponse, sync_playwright

from tests.bench.form import timed
from tests.bench.home import percentile
from tests.bench.load import cpu_of
from tests.bench.start import end_all, signed_in
from tests.e2e.site import Site

TIMES = 40


def measure(site: Site) -> dict[str, float]:
    site.start()
    figures = {}
    try:
        end_all(site)
        server = psutil.Process(site.pids()["web"])
        with sync_playwright() as playwright:
            web = playwright.request.new_context(base_url=site.url, storage_state=signed_in())
            live = {"HX-Request": "true", "HX-Target": "answer"}
            asked: dict[str, Callable[[], APIResponse]] = {
                "the whole page": lambda: web.get("/calculator/"),
                "a key is pressed": lambda: web.get("/calculator/", headers=live),
                "every card": lambda: web.get("/calculator/gpus/"),
            }
            for what, ask in asked.items():
                ask()  # the first loads the catalogues
                before = cpu_of(server)
                took = sorted(timed(ask) for _ in range(TIMES))
                used = 1000 * (cpu_of(server) - before) / TIMES
                figures[f"{what}: median [ms]"] = percentile(took, 0.5)
                figures[f"{what}: 95 % [ms]"] = percentile(took, 0.95)
                figures[f"{what}: of a core [ms]"] = used
    finally:
        site.stop()
    return figures
