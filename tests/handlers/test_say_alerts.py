from __future__ import annotations

import pytest

from payments.alerts import Choice, choice_of
from tests.handlers.handler_chat import ME, Chat


def choice(chat: Chat) -> Choice:
    with chat.services.reading() as session:
        return choice_of(session, ME)


def test_one_word_stops_and_one_resumes(chat: Chat) -> None:
    assert "恢复提醒" in chat.say("停止提醒")
    assert choice(chat) == Choice(wanted=False)
    assert "已关闭" in chat.say("提醒")
    assert "已开启" in chat.say("恢复提醒")
    assert choice(chat) == Choice()


@pytest.mark.parametrize(
    ("said", "fen"), [("余额提醒10", 1000), ("余额提醒 20 元", 2000), ("余额提醒０", 0), ("余额提醒", 500)]
)
def test_the_threshold_is_ones_own(chat: Chat, said: str, fen: int) -> None:
    chat.say(said)
    assert choice(chat).low_balance_fen == fen
    shown = chat.say("提醒")
    assert (f"余额低于 {fen // 100} 元" if fen else "余额提醒：已关闭") in shown


def test_a_new_threshold_turns_alerts_on_again(chat: Chat) -> None:
    chat.say("停止提醒")
    assert "已开启" in chat.say("余额提醒8")
    assert choice(chat) == Choice(wanted=True, low_balance_fen=800)
