"""A browser on the campus network that is logged in to the portal."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

from flask.testing import FlaskClient

from tests.web.world import BASE_URL, OWN, World

CAMPUS, ELSEWHERE = "10.70.1.23", "203.0.113.7"


def log_in(world: World, client: FlaskClient, path: str = "/self/", account_no: str = OWN) -> str:
    """The address that a login ends at."""
    return come_back(world, client, client.get(path).headers["Location"], account_no)


def log_in_fresh(world: World, client: FlaskClient, account_no: str = OWN, *, typed: bool = True) -> str:
    """As `log_in`, where the password is asked for; `typed` whether it was."""
    if not typed:
        world.identity.stale.add("ST-1")
    return come_back(world, client, "/self/login?fresh=1&next=/self/payout", account_no)


def come_back(world: World, client: FlaskClient, login: str, account_no: str) -> str:
    """To the unified identity and back. Returns: where that leads."""
    service = parse_qs(urlsplit(client.get(login).headers["Location"]).query)["service"][0]
    world.identity.tickets[service, "ST-1"] = account_no
    answer = client.get(service.removeprefix(BASE_URL) + "&ticket=ST-1")
    return answer.headers.get("Location", answer.text)


def visitor(world: World, account_no: str = OWN, *, address: str = CAMPUS) -> FlaskClient:
    """Somebody who has just logged in."""
    client = world.reader(None, address=address)
    log_in(world, client, account_no=account_no)
    return client
