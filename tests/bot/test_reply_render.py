from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bot.context import Text
from bot.render import cdata, content, envelope, shorten
from bot.xmlread import read_xml


@given(st.text(max_size=300))
def test_whatever_a_handler_says_is_read_back_as_text(said: str) -> None:
    fields = read_xml(envelope(content(Text(said)), to="oA", sender="gh_b", at_s=1).encode())
    assert set(fields) == {"ToUserName", "FromUserName", "CreateTime", "MsgType", "Content"}
    kept = "".join(
        c
        for c in said
        if (c >= " " or c in "\t\n\r") and not "\ud800" <= c <= "\udfff" and c not in "\ufffe\uffff"
    )
    # XML reads every line end as a line feed.
    assert fields["Content"] == kept.replace("\r\n", "\n").replace("\r", "\n")


def test_the_end_of_a_section_cannot_be_said() -> None:
    hostile = "a]]></Content><MsgType>x</MsgType><Content>"
    assert read_xml(f"<xml><C>{cdata(hostile)}</C></xml>".encode()) == {"C": hostile}
    assert read_xml(f"<xml><C>{cdata(']]]]>>')}</C></xml>".encode()) == {"C": "]]]]>>"}


@given(st.text(max_size=1500))
def test_texts_are_cut_at_a_character(text: str) -> None:
    short = shorten(text)
    assert len(short.encode("utf-8", "replace")) <= 2048
    if len(text.encode("utf-8", "replace")) > 2048:
        assert short.endswith("…")
        assert text.startswith(short[:-1])
    else:
        assert short == text


def test_a_long_chinese_text_keeps_as_much_as_fits() -> None:
    assert shorten("网" * 1000) == "网" * 681 + "…"
