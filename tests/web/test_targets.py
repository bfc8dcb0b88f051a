from __future__ import annotations

from urllib.parse import urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from web.targets import local

HERE = "https://site.test"


@pytest.mark.parametrize("target", ["/h5/usage", "/h5/orders?before=3", "/self/", "/go/packages"])
def test_our_own_pages_are_kept(target: str) -> None:
    assert local(target, "/h5/recharge") == target


@pytest.mark.parametrize(
    "target",
    [
        None, "", "https://evil.test/", "//evil.test/h5/", "/\\evil.test", "\\/evil.test", "/h5/../../x",
        "/h5//evil.test", "/h5/\n",
        "/h5/\t/x", "javascript:alert(1)", "h5/usage", "/admin/", "/h5/" + "x" * 600,
        " /h5/usage", "/wechat", "http:/h5/", "/h5/\\..\\evil", "/h5/\\evil",
    ],
)  # fmt: skip
def test_anything_else_becomes_the_default(target: str | None) -> None:
    assert local(target, "/h5/recharge") == "/h5/recharge"


@given(
    st.text(st.characters(codec="utf-8"), max_size=30),
    st.sampled_from(["", "/h5/", "/self/", "/go/", "//", "/h5"]),
)
def test_no_text_leads_to_another_host(text: str, start: str) -> None:
    target = local(start + text, "/h5/recharge")
    assert urlsplit(urljoin(HERE, target)).netloc == "site.test"
