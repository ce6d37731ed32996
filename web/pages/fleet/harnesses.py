"""Harnesses of this machine: install and upgrade, in the background."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from dispatcher import activity
from dispatcher.errors import DispatcherError
from dispatcher.harness_install import install
from dispatcher.harnesses import adapter
from web.errors import problem_of
from web.jobs import Job, Say
from web.pages.fleet.overview import fleet_after
from web.pages.forms import NOTHING, Entered, Fields, Scripted
from web.site import Here, Site

router = APIRouter()


@router.post("/fleet/harnesses/{name}/install")
def install_harness(site: Here, name: str, form: Fields, scripted: Scripted) -> Response:
    """Install the offered version below the data folder; what it does is shown meanwhile."""
    return fleet_after(site, begin(site, name, form), "harnesses", scripted=scripted)


def begin(site: Site, name: str, form: dict[str, str]) -> Entered:
    """Begin an install in the background; what was refused, else nothing. Raises `NotFound` for no harness's name."""
    harness = adapter(name)

    def work(say: Say) -> str:
        installed = install(name, site.settings.harness_root, say)
        version = installed.found.probe.version or harness.package.version
        return f"{version} installed in {installed.seconds:.0f} s ({installed.megabytes} MB)"

    def changed(job: Job) -> None:
        if not job.running:
            site.inventory.forget()
        kind = "installing" if job.running else "failed" if job.problem else "installed"
        text = job.problem.message if job.problem else job.result or (job.lines or [""])[-1]
        with site.database.transaction() as db:
            activity.record(db, f"harness.{kind}", name=name, text=text)

    try:
        site.jobs.start(f"install {name}", work, changed)
    except DispatcherError as error:
        return Entered(problem_of(error), "harnesses", form)
    return NOTHING
