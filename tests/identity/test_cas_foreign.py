"""CAS servers of other makers: encodings, namespaces, styles of attributes, damage where nobody looks."""

from __future__ import annotations

import codecs

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from identity.cas import Identity, IdentityConfig, logged_out_ticket
from models.errors import Malformed, Unavailable
from models.values.xml_text import acceptable, declared_text, utf8_text
from tests.identity.test_cas import NS

OWN = "2400101001"
OTHER = "2400101009"


def read(body: bytes | str, attribute: str = "") -> str:
    """The account in an answer."""
    identity = Identity(IdentityConfig("https://ids.test/cas", attribute))
    return identity._account_in(body if isinstance(body, bytes) else body.encode())


def answer(attributes: str, user: str = OWN, *, outside: str = "") -> str:
    return (
        f"<cas:serviceResponse {NS}><cas:authenticationSuccess><cas:user>{user}</cas:user>"
        f"<cas:attributes>{attributes}</cas:attributes>{outside}"
        "</cas:authenticationSuccess></cas:serviceResponse>"
    )


def declared(encoding: str, text: str) -> bytes:
    return f'<?xml version="1.0" encoding="{encoding}"?>\r\n{text}'.encode(encoding)


NAMED = "<cas:cn>李小明</cas:cn>"


@pytest.mark.parametrize(
    "body",
    [
        declared("GBK", answer(NAMED)),
        declared("gb2312", answer(NAMED)),
        declared("GB18030", answer("<cas:cn>王\U00030edd明</cas:cn>")),
        declared("UTF-8", answer(NAMED)),
        declared("utf-16", answer(NAMED)),
        declared("big5", answer("<cas:cn>李</cas:cn>")),
        answer(NAMED).encode("gbk"),
        codecs.BOM_UTF8 + answer(NAMED).encode(),
        codecs.BOM_UTF8 + declared("UTF-8", answer(NAMED)),
        b"  \n" + declared("GBK", answer(NAMED)),
        b'<?xml version="1.0" encoding="UTF-8"?>' + answer(NAMED).encode("gbk"),
        b'<?xml version="1.0" encoding="klingon"?>' + answer(NAMED).encode(),
        declared("GBK", answer(NAMED)).replace("明".encode("gbk"), b"\xc3"),
    ],
)
def test_an_answer_is_read_in_its_encoding(body: bytes) -> None:
    assert read(body) == OWN


def test_a_name_in_gbk_is_the_name() -> None:
    assert "李小明" in declared_text(declared("GBK", answer(NAMED)))
    assert "李小明" in declared_text(answer(NAMED).encode("gbk"))


@pytest.mark.parametrize("prefix", ["cas", "c", "sso", ""])
def test_the_namespace_counts_and_its_prefix_does_not(prefix: str) -> None:
    begin, declare = (f"{prefix}:", f":{prefix}") if prefix else ("", "")
    body = answer("").replace("xmlns:cas", f"xmlns{declare}").replace("cas:", begin)
    assert read(body) == OWN
    with pytest.raises(Malformed):
        read(body.replace("www.yale.edu", "else.test"))


STYLES = {
    "element": "<cas:studentNo>{}</cas:studentNo>",
    "name and value below": (
        "<cas:attribute><cas:name>studentNo</cas:name><cas:value>{}</cas:value></cas:attribute>"
    ),
    "name and value": '<cas:attribute name="studentNo" value="{}"/>',
    "name and text": '<cas:attribute name="studentNo">{}</cas:attribute>',
    "one level more": "<cas:userAttributes><cas:attribute name='studentNo' value='{}'/></cas:userAttributes>",
    "one level more, element": "<cas:userAttributes><cas:studentNo>{}</cas:studentNo></cas:userAttributes>",
}


@pytest.mark.parametrize("style", STYLES.values(), ids=STYLES)
@pytest.mark.parametrize("outside", [False, True], ids=["in attributes", "beside the user"])
def test_an_attribute_is_found_in_every_style(style: str, *, outside: bool) -> None:
    def body(*values: str) -> str:
        text = "".join(style.format(value) for value in values)
        return answer("", "u77", outside=text) if outside else answer(text, "u77")

    if outside and "userAttributes" in style:
        return
    assert read(body(OWN), "studentNo") == OWN
    assert read(body(f"\n {OWN}@cmcc "), "studentNo") == OWN
    # The same value twice is one; two values are none, and so is a value beside an empty one.
    assert read(body(OWN, OWN), "studentNo") == OWN
    for values in ((OWN, OTHER), (OWN, ""), ("",), ("<b>1</b>".replace("<", "&lt;"),), ()):
        with pytest.raises(Malformed):
            read(body(*values), "studentNo")
    with pytest.raises(Malformed):
        read(body(OWN), "otherNo")


def test_two_values_in_one_attribute_are_none() -> None:
    def values(*said: str) -> str:
        inside = "".join(f"<cas:value>{value}</cas:value>" for value in said)
        return answer(f"<cas:attribute><cas:name>studentNo</cas:name>{inside}</cas:attribute>", "u77")

    assert read(values(OWN, OWN), "studentNo") == OWN
    with pytest.raises(Malformed):
        read(values(OWN, OTHER), "studentNo")


def test_values_in_two_places_have_to_agree() -> None:
    at = STYLES["name and value"].format(OWN)
    assert read(answer(STYLES["element"].format(OWN) + at, "u77"), "studentNo") == OWN
    with pytest.raises(Malformed):
        read(answer(STYLES["element"].format(OTHER) + at, "u77"), "studentNo")


def test_the_user_twice_is_one_and_two_users_are_none() -> None:
    assert read(answer("", outside=f"<cas:user>{OWN}</cas:user>")) == OWN
    with pytest.raises(Malformed):
        read(answer("", outside=f"<cas:user>{OTHER}</cas:user>"))


DAMAGE = (
    "", "<cas:name/>", "<cas:name><a><b>x</b></a></cas:name>",
    "<cas:name>A&B &nbsp; &#0; &#xFFFF; &#99999999;</cas:name>",
    "<cas:urn:oid:2.5.4.3>x</cas:urn:oid:2.5.4.3>", "<nobody:knows>x</nobody:knows>",
    "<name xmlns=''>x</name>",
    "<cas:name a='1' b=\"2\">x</cas:name>", "<cas:name>\x00\x08\x1f\ufffe\uffff</cas:name>", "<!-- & <x> -->",
    "<cas:attribute/>", "<cas:attribute name='x'/>", "<cas:attribute><cas:name>x</cas:name></cas:attribute>",
    "<cas:attribute><cas:name/><cas:name>studentNo</cas:name></cas:attribute>", "<cas:attributes/>",
    "<cas:memberOf>a</cas:memberOf><cas:memberOf>b</cas:memberOf>", "<cas:name><![CDATA[<&>]]></cas:name>",
    "<cas:name>" + "x" * 20_000 + "</cas:name>", "<?php echo 1 ?>",
    "<cas:proxyGrantingTicket>PGT</cas:proxyGrantingTicket>",
)  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_part_that_is_not_used_costs_itself_only(damage: str) -> None:
    used = STYLES["element"].format(OWN)
    for body in (answer(damage), answer("", outside=damage), answer(used + damage, "u77")):
        assert read(body, "studentNo" if used in body else "") == OWN
    beside = answer("").replace("<cas:authenticationSuccess>", f"{damage}<cas:authenticationSuccess>")
    assert read(beside) == OWN


@pytest.mark.parametrize(
    "raw", [b"\xff\xfe", "余额".encode()[:-1], b"\xed\xa0\xbd\xed\xb8\x80", b"\xed\xa0\xbd", b"\x80", b"\xf8"]
)
def test_bytes_that_are_no_text_cost_their_attribute_only(raw: bytes) -> None:
    body = answer("<cas:cn>HERE</cas:cn>").encode().replace(b"HERE", raw)
    assert read(body) == OWN
    with pytest.raises(Malformed):
        read(body.replace(OWN.encode(), OWN.encode() + b"\xff"))


@pytest.mark.parametrize(
    "body",
    [
        f'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/hostname">]>{answer("", "&e;")}',
        f"<!DOCTYPE x>{answer('')}",
        answer("", "&e;"),
        answer("", f"{OWN}&#0;"),
        answer("", f"{OWN[:5]}<!-- x --><b/>{OWN[5:]}"),
        answer("").replace("</cas:user>", ""),
        answer("<a>" * 100 + "</a>" * 100),
        answer("").replace("cas:serviceResponse", "cas:response"),
        "",
        "   ",
    ],
)
def test_what_is_no_honest_answer_stays_refused(body: str) -> None:
    for raw in (body.encode(), declared("GBK", body), declared("utf-16", body)):
        with pytest.raises(Malformed):
            read(raw)


def test_a_failure_in_gbk_is_a_failure() -> None:
    body = (
        f'<cas:serviceResponse {NS}><cas:authenticationFailure code="INVALID_SERVICE">服务未注册'
        "</cas:authenticationFailure></cas:serviceResponse>"
    )
    with pytest.raises(Unavailable, match="INVALID_SERVICE"):
        read(declared("GBK", body))


def test_a_comment_cuts_no_account_short() -> None:
    assert read(answer("", f"{OWN[:5]}<!-- x -->{OWN[5:]}")) == OWN


def test_a_logout_names_its_ticket_whatever_else_is_in_it() -> None:
    for beside in ("<saml:NameID xmlns:saml='x'>A&B</saml:NameID>", "<n:x>\x00</n:x>", "<a:b:c/>"):
        message = (
            '<samlp:LogoutRequest xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" ID="&#1;">'
            f"{beside}<samlp:SessionIndex>ST-1</samlp:SessionIndex></samlp:LogoutRequest>"
        )
        assert logged_out_ticket(message) == "ST-1"


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(raw=st.binary(max_size=60))
def test_any_bytes_in_a_name_cost_the_name_at_most(raw: bytes) -> None:
    for mark in (b"<", b"]]>"):
        raw = raw.replace(mark, b"")
    body = answer("<cas:cn>HERE</cas:cn>").encode().replace(b"HERE", raw)
    assert read(body) == OWN


@settings(max_examples=500, deadline=None, derandomize=True, database=None)
@given(raw=st.binary(max_size=20), encoding=st.sampled_from(["", "UTF-8", "GBK"]))
def test_bytes_in_a_cdata_section_write_no_element(raw: bytes, encoding: str) -> None:
    # As a server writes a nickname that it takes for GBK: "]]>" stands only where its section ends.
    name = (
        raw.decode("gbk", "ignore").encode("gbk").replace(b"]]>", b"")
        + b"\x81]"
        + b"]><cas:user>1</cas:user>"
    )
    head = f'<?xml version="1.0" encoding="{encoding}"?>' if encoding else ""
    body = (head + answer("<cas:cn><![CDATA[HERE]]></cas:cn>")).encode().replace(b"HERE", name)
    if encoding == "GBK":
        assert read(body) == OWN
    else:
        with pytest.raises(Malformed):
            read(body)


def test_text_that_is_cut_in_a_cdata_section_costs_itself_only() -> None:
    body = answer("<cas:cn><![CDATA[李小明]]></cas:cn>")
    assert read(body.encode().replace("明".encode(), "明".encode()[:2])) == OWN
    assert read(declared("GBK", body)) == OWN
    assert read(body.encode("gbk")) == OWN


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(raw=st.binary(max_size=60))
def test_repaired_text_is_never_repaired_again(raw: bytes) -> None:
    once = acceptable(utf8_text(raw))
    assert acceptable(once) == once
    assert once.encode().decode() == once


def test_emoji_in_two_surrogates_is_the_emoji() -> None:
    assert utf8_text(b"\xed\xa0\xbd\xed\xb8\x80!\xed\xa0\xbd") == "\U0001f600!" + "\ufffd" * 3
