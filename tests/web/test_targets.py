from __future__ import annotations

from urllib.parse import unquote, unquote_to_bytes, urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from web.targets import local, written

HERE = "https://site.test"


@pytest.mark.parametrize(
    "target",
    [
        "/h5/usage", "/h5/orders?before=3", "/self/", "/go/packages", "/self/recharge?package=P05&amount=5",
        "/self/packages/%E7%89%B9%E6%83%A0?x=%2F%2Fevil.test&y=//evil.test",
    ],
)  # fmt: skip
def test_our_own_pages_are_kept(target: str) -> None:
    assert local(target, "/h5/recharge") == target


@pytest.mark.parametrize(
    "target",
    [
        None, "", "https://evil.test/", "//evil.test/h5/", "/\\evil.test", "\\/evil.test", "/h5/../../x",
        "/h5//evil.test", "/h5/\n",
        "/h5/\t/x", "javascript:alert(1)", "h5/usage", "/admin/", "/h5/" + "x" * 600,
        " /h5/usage", "/wechat", "http:/h5/", "/h5/\\..\\evil", "/h5/\\evil",
        "%2f%2fevil.test", "/%2fevil.test/h5/", "/%5cevil.test", "https:%2f%2fevil.test",
        "/self/%2f%2fevil.test", "/self/%2Fevil.test", "/self/%5c%5cevil.test", "/self/%2e%2e/wechat",
        "/self/.%2E//evil.test", "/self/%0d%0aLocation:x", "/self/%09/evil", "///evil.test/self/",
        "https:/\\evil.test/self/", "//evil.test\\@site.test/self/", "\x00/self/", "/self/?x=\\evil",
        "/self@evil.test/", "/selfevil",
    ],
)  # fmt: skip
def test_anything_else_becomes_the_default(target: str | None) -> None:
    assert local(target, "/h5/recharge") == "/h5/recharge"


@given(
    st.text(st.characters(codec="utf-8") | st.sampled_from("/\\%2f%5c.@:?#"), max_size=30),
    st.sampled_from(["", "/h5/", "/self/", "/go/", "//", "/h5"]),
)
def test_no_text_leads_to_another_host(text: str, start: str) -> None:
    target = local(start + text, "/h5/recharge")
    # Read as it stands, and by whoever decodes it once too often.
    for reading in (target, unquote(target)):
        assert urlsplit(urljoin(HERE, reading.partition("?")[0])).netloc == "site.test"


@given(st.text(st.characters(codec="utf-8"), max_size=30), st.binary(max_size=30))
def test_every_page_can_be_written_down_and_read_again(name: str, query: bytes) -> None:
    target = written(f"/self/packages/{name}", query)
    assert target.isascii()
    parts = urlsplit(target)
    assert unquote(parts.path) == f"/self/packages/{name}"
    assert unquote_to_bytes(parts.query) == unquote_to_bytes(query)
