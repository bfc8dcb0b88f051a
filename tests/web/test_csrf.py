from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from models.order import orders_of
from tests.web.conftest import csrf_in
from tests.web.world import OPENID, OTHER, World

POSTS = [
    "/h5/recharge", "/h5/pay/r1/params", "/h5/pay/r1/cancel", "/h5/orders/r1/check", "/h5/bind/remove",
    "/h5/look", "/self/logout",
]  # fmt: skip


@pytest.mark.parametrize("path", POSTS)
def test_a_form_without_the_token_does_nothing(world: World, path: str) -> None:
    answer = world.reader(address="10.1.2.3").post(path, data={"account": OTHER, "amount": "10"})
    assert answer.status_code == 400
    assert "E-PAGE" in answer.text
    with world.services.reading() as session:
        assert orders_of(session, OPENID) == []


def test_every_form_that_posts_carries_a_token(world: World, reader: FlaskClient) -> None:
    world.bind()
    order = world.order()
    for path in (
        "/h5/recharge",
        f"/h5/pay/{order.order_no}",
        f"/h5/orders/{order.order_no}",
        "/h5/bind",
        "/h5/look",
    ):
        html = reader.get(path).text
        assert html.count('<form method="post"') == html.count('name="csrf_token"') > 0, path


def test_a_script_sends_the_token_in_a_header(world: World, reader: FlaskClient) -> None:
    order = world.order()
    token = csrf_in(reader.get(f"/h5/pay/{order.order_no}").text)
    path = f"/h5/pay/{order.order_no}/params"
    assert reader.post(path, headers={"X-CSRFToken": "wrong"}).status_code == 400
    assert reader.post(path, headers={"X-CSRFToken": token}).status_code == 200


def test_machine_entrances_need_no_token_and_set_no_cookie(reader: FlaskClient) -> None:
    for path in ("/wechat", "/wechatpay/notify"):
        answer = reader.post(path, data=b"{}")
        assert answer.status_code < 300
        assert "Set-Cookie" not in answer.headers
