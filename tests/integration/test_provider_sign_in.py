"""Signing in at an identity provider, over HTTP: who comes in, and who does not."""

import re
from collections.abc import Iterator

import httpx
import pytest
from conftest import Service, run
from identity_provider import IdentityProvider
from owned import command, enter, token, visitor
from pages import faults, read_page

Both = tuple[Service, IdentityProvider]
PASSWORDS = ("elsewhere:", "", "four words that differ")


@pytest.fixture
def jane(provider_service: Both) -> Iterator[Both]:
    """The provider signs in somebody who has no password here."""
    service, provider = provider_service
    if "jane@example.com" not in command(service, "list").stdout:
        role = ("--role", "lead", "--no-password")
        done = command(service, "add", "--name", "jane@example.com", *role)
        assert done.returncode == 0, done.stderr
    command(service, "enable", "--name", "jane@example.com")
    provider.person = {"sub": "17", "email": "Jane@example.com", "email_verified": True}
    yield provider_service
    provider.status = 200


def came_back(browser: httpx.Client) -> httpx.Response:
    """The answer to a browser that has been at the provider."""
    away = browser.get("/sign-in/provider")
    assert 303 == away.status_code
    return browser.get(httpx.get(away.headers["location"]).headers["location"])


def test_who_signs_in_there_is_in_here(jane: Both) -> None:
    """The sign-in page leads there; the page that they come back to leads on by itself, with a
    session that other sites can't use; the audit names them, and nothing else does."""
    service, _ = jane
    with visitor(service) as browser:
        links = read_page(browser.get("/sign-in").text).all("a", class_="way-in")
        assert [("/sign-in/provider", "Sign in with localhost")] == [
            (link.attributes["href"], link.text.strip()) for link in links
        ]
        answer = came_back(browser)
        assert 200 == answer.status_code and [] == faults(read_page(answer.text))
        assert 'content="0; url=/at-risk"' in answer.text
        cookies = answer.headers.get_list("set-cookie")
        (kept,) = [text for text in cookies if text.startswith("milepost=")]
        assert "HttpOnly" in kept and "samesite=strict" in kept.lower()
        (gone,) = [text for text in cookies if text.startswith("milepost-away=")]
        assert "Max-Age=0" in gone
        (who,) = read_page(browser.get("/at-risk").text).all("form", class_="who")
        assert re.search(r"jane@example.com\s*lead\s*Sign out", who.text)
    said = run("serving", "audit", str(service.config), "--workspace", str(service.workspace))
    assert re.search(r"user:jane@example.com GET /sign-in/return 200", said.stdout)
    assert "code=" not in said.stdout + service.logged()


def test_without_a_password_none_fits(jane: Both) -> None:
    """A person of the provider alone does not come in by the form, whatever is typed."""
    with visitor(jane[0]) as browser:
        for password in PASSWORDS:
            assert 401 == enter(browser, "jane@example.com", password or " ").status_code


def test_whom_milepost_does_not_know_stays_out(jane: Both) -> None:
    """The provider's word is not enough: an unknown name and a disabled one are told the same."""
    service, provider = jane
    with visitor(service) as browser:
        assert 200 == came_back(browser).status_code
        disabled = command(service, "disable", "--name", "jane@example.com")
        assert disabled.returncode == 0, disabled.stderr
        refused = came_back(browser)
        assert 401 == refused.status_code
        provider.person["email"] = "j@example.com"
        unknown = came_back(browser)
        assert 401 == unknown.status_code
        texts = [re.sub('value="[^"]*"', "", answer.text) for answer in (refused, unknown)]
        assert texts[0].replace("jane@", "j@") == texts[1]
        assert "nobody called j@example.com here" in texts[1]


def test_who_did_not_begin_here_does_not_come_in(jane: Both) -> None:
    """Another browser's way back, or none, is refused; the form below still counts."""
    service, _ = jane
    with visitor(service) as browser, visitor(service) as other:
        away = browser.get("/sign-in/provider")
        back = httpx.get(away.headers["location"]).headers["location"]
        for query in (back, "/sign-in/return", "/sign-in/return?code=x&state=\u00e9"):
            answer = other.get(query)
            assert 401 == answer.status_code and "Begin again" in answer.text
            assert "milepost" not in other.cookies
        assert 401 == enter(other, "whoever", "not the password").status_code
        assert token(other.get("/sign-in").text)
        assert 200 == browser.get(back).status_code
        assert 401 == browser.get(back).status_code  # the browser has forgotten it


def test_without_a_provider_none_is_offered(shop_service: Service) -> None:
    """Where none is set the page has no link, and its addresses say so."""
    with visitor(shop_service) as browser:
        assert "way-in" not in browser.get("/sign-in").text
        for path in ("/sign-in/provider", "/sign-in/return"):
            answer = browser.get(path)
            assert 404 == answer.status_code and "no identity provider is set" in answer.text
