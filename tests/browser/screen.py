"""The phone page under somebody's fingers: chat, menu, pages in the frame, pay sheet."""

from __future__ import annotations

import re

from playwright.sync_api import Frame, FrameLocator, Locator, Page, expect

from app.selfcheck import balance_fen

PASSWORD = "demo"
PAY_PASSWORD = "123456"
FRAME = '[data-testid="webview-frame"]'
# Crediting and the page's own questions take seconds where the machine is busy.
PATIENCE_MS = 20_000


class Screen:
    """One student's phone on the phone page; `web` is the page in its frame."""

    def __init__(self, page: Page, wechat: str, student: str) -> None:
        self.page = page
        self.page.set_default_timeout(PATIENCE_MS)
        self.page.goto(f"{wechat}/#{student}")
        expect(page.get_by_test_id(f"student-{student}")).to_have_attribute("aria-pressed", "true")

    @property
    def chat(self) -> Locator:
        """The conversation."""
        return self.page.get_by_test_id("chat")

    @property
    def web(self) -> FrameLocator:
        """The page in the frame."""
        return self.page.frame_locator(FRAME)

    @property
    def heading(self) -> Locator:
        """The headline of the page in the frame."""
        return self.web.get_by_role("heading", level=1)

    def messages(self, *words: str) -> Locator:
        """What the account wrote, as far as it contains all `words`."""
        found = self.chat.locator('[data-from="oa"]')
        for word in words:
            found = found.filter(has_text=word)
        return found

    def wait_for(self, *words: str) -> Locator:
        """The message with all `words`, once it is there."""
        found = self.messages(*words)
        expect(found.first).to_be_visible(timeout=PATIENCE_MS)
        return found.last

    def follow(self) -> Locator:
        """Follow the account. Returns: its welcome."""
        self.page.get_by_test_id("follow").click()
        return self.wait_for("欢迎关注")

    def say(self, words: str, expected: str) -> Locator:
        """Write a message. Returns: the new answer, which has to contain `expected`."""
        before = self.messages(expected).count()
        self.page.get_by_test_id("chat-input").fill(words)
        self.page.get_by_test_id("chat-send").click()
        return self._answer(expected, before)

    def tap(self, message: Locator, words: str, expected: str) -> Locator:
        """Tap a word of a message. Returns: the new answer, which has to contain `expected`."""
        before = self.messages(expected).count()
        message.get_by_role("button", name=words, exact=True).click()
        return self._answer(expected, before)

    def menu(self, name: str, entry: str) -> None:
        """Tap an entry of the menu at the bottom."""
        self.page.locator("#menu").get_by_role("button", name=name).click()
        self.page.locator("#menu").get_by_role("button", name=entry, exact=True).click()

    def ask_balance_fen(self) -> int:
        """Say 余额. Returns: what the answer says."""
        return balance_fen(self.say("余额", "更新于").inner_text())

    def open(self, path: str) -> Frame:
        """Open an address in the in-app browser. Returns: the frame, loaded."""
        self.page.get_by_test_id("webview-url").fill(path)
        self.page.get_by_role("button", name="打开", exact=True).click()
        expect(self.page.locator("#web-title")).not_to_have_text("正在打开…")
        return self.frame()

    def frame(self) -> Frame:
        """The document in the frame, for measuring."""
        found = self.page.locator(FRAME).element_handle()
        frame = found.content_frame() if found is not None else None
        assert frame is not None
        frame.wait_for_load_state()
        return frame

    def back_to_chat(self) -> None:
        """Close the page."""
        self.page.get_by_test_id("webview-close").click()
        expect(self.page.get_by_test_id("webview")).to_be_hidden()

    def log_in(self) -> None:
        """Fill in the form of the unified identity; it knows whose phone this is."""
        expect(self.heading).to_have_text("统一身份认证")
        self.web.get_by_label("密码").fill(PASSWORD)
        self.web.get_by_role("button", name="登录").click()

    def press_pay(self, sum_yuan: str) -> None:
        """The green button; the sheet that opens asks for `sum_yuan`."""
        self.web.get_by_role("button", name=f"微信支付 ¥{sum_yuan}").click()
        expect(self.page.get_by_test_id("pay-amount")).to_have_text(f"¥{sum_yuan}")

    def pay(self, sum_yuan: str) -> None:
        """Press the green button and pay; ends on the page of the order."""
        self.press_pay(sum_yuan)
        for digit in PAY_PASSWORD:
            self.page.get_by_test_id(f"pay-key-{digit}").click()
        expect(self.page.get_by_test_id("pay-sheet")).to_be_hidden()
        expect(self.web.get_by_role("list", name="充值进度")).to_be_visible()

    def expect_success(self) -> None:
        """The page of the order reaches its last step by itself."""
        expect(self.heading).to_have_text("充值成功", timeout=PATIENCE_MS)
        expect(self.web.locator(".steps li.done")).to_have_count(4)
        expect(self.web.get_by_text("到账时间")).to_be_visible()

    def _answer(self, expected: str, before: int) -> Locator:
        answer = self.messages(expected).nth(before)
        expect(answer).to_be_visible(timeout=PATIENCE_MS)
        return answer


def order_no_in(text: str) -> str:
    """The order number in a text of ours."""
    found = re.search(r"订单号[：\s]*(\w{12,})", text)
    assert found is not None, text
    return found[1]
