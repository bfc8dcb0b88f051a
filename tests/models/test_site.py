from __future__ import annotations

from ipaddress import ip_network

import pytest

from models.site import Contact, Site


@pytest.mark.parametrize(
    ("address", "inside"),
    [
        ("10.70.1.23", True),
        ("11.0.0.1", False),
        # What a socket that takes both versions calls a client of the older one.
        ("::ffff:10.70.1.23", True),
        ("::ffff:11.0.0.1", False),
        ("2001:da8:20::7", True),
        ("2001:da8:21::7", False),
        ("fe80::1%eth0", False),
        ("", False),
        ("10.70.1", False),
        ("10.70.1.23, 203.0.113.7", False),
    ],
)
def test_who_is_on_campus(address: str, inside: bool) -> None:  # noqa: FBT001 - the expected answer
    contact = Contact("466522933", "0773-2290739", "110室", "工作日", 9, 18)
    networks = (ip_network("10.0.0.0/8"), ip_network("2001:da8:20::/48"))
    site = Site("桂电校园网", "https://net.test", "https://net.test/self/", networks, contact)
    assert site.on_campus(address) is inside
