"""A shop whose customers have owners, with people who sign in: what tests of pages share."""

import csv
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from conftest import ROOT, Service, serve
from pages import read_page

from serving.database import Database
from serving.passwords import hashed
from serving.people import ADMIN, LEAD, MANAGER, SCIENTIST, Users

PASSWORD = "four words that differ"
LISTED = "/v1/at-risk"
OWNERS = ("Anna Berg", "Bert Cole", "Cora Diaz", "")
PEOPLE = (
    ("anna", MANAGER, "Anna Berg", "north"), ("bert", MANAGER, "Bert Cole", "north"),
    ("cora", MANAGER, "Cora Diaz", "south"), ("lena", LEAD, None, "north"),
    ("dora", SCIENTIST, None, None), ("ada", ADMIN, None, None),
)  # fmt: skip


def command(service: Service, *asked: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    """A `users` command, with what is typed on standard input."""
    place = (str(service.config), "--workspace", str(service.workspace))
    return subprocess.run(
        [sys.executable, "-m", "serving", "users", *asked, *place],
        cwd=ROOT, input=typed, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def owned_shop(
    shop: Path, shop_run: tuple[Path, object], folder: Path, workspace: Path, *more: str
) -> Iterator[Service]:
    """A service over a copy of the trained shop, whose customers have owners, with people.

    Parameters
    ----------
    folder
        Where the tables of the shop are copied to.
    workspace
        Where the copy of the trained workspace will lie.
    """
    for name in ("orders.csv", "tickets.csv", "customers.csv"):
        shutil.copyfile(shop.parent / name, folder / name)
    customers = [row["customer"] for row in csv.DictReader((folder / "customers.csv").open())]
    rows = [f"{name},{OWNERS[n % len(OWNERS)]}" for n, name in enumerate(customers)]
    (folder / "owners.csv").write_text("\n".join(["customer,owner", *rows]) + "\n")
    owned = shop.read_text().replace(
        "select customer, city, since from 'customers.csv'",
        "select customer, city, since, nullif(owner, '') as owner from 'customers.csv' "
        "join 'owners.csv' using (customer)",
    )
    (folder / "journey.toml").write_text(owned + '\n[people]\nowner = "owner"\n')
    others = shutil.ignore_patterns("milepost.db*", "book-histories")
    shutil.copytree(shop_run[0], workspace, ignore=others)
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setenv("MILEPOST_PROXIES", "127.0.0.1")
    for made in serve(folder / "journey.toml", workspace, *more):
        monkeypatch.undo()
        database = Database(f"sqlite:///{workspace}/milepost.db")
        for name, role, owner, team in PEOPLE:
            Users(database).add("shop", name, role, hashed(PASSWORD), owner, team)
        database.close()
        yield made


def visitor(service: Service) -> httpx.Client:
    """A browser that sends what its pages' forms send."""
    return httpx.Client(
        base_url=service.address, timeout=60, headers={"Origin": service.address}
    )  # fmt: skip


def token(text: str) -> str:
    """The token of a page's first form that has one."""
    fields = read_page(text).all("input")
    return next(f.attributes["value"] for f in fields if f.attributes.get("name") == "token")


def enter(browser: httpx.Client, name: str, password: str = PASSWORD) -> httpx.Response:
    """What comes of signing in by the form."""
    form = {"token": token(browser.get("/sign-in").text), "name": name, "password": password}
    return browser.post("/sign-in", data=form)


@contextmanager
def person(service: Service, name: str) -> Iterator[httpx.Client]:
    """A browser in which somebody has signed in."""
    with visitor(service) as browser:
        answer = enter(browser, name)
        assert (303, "/at-risk") == (answer.status_code, answer.headers.get("location"))
        yield browser


def owners(service: Service) -> dict[str, str]:
    """Each listed customer's owner, as a key sees it; "" of nobody's."""
    with service.client() as client:
        rows = client.get(LISTED, params={"limit": 1000}).json()["customers"]
    return {row["customer"]: row["owner"] or "" for row in rows}
