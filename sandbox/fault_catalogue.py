"""Everything that can be made to go wrong, and where: the one table that code, phone page and docs share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Kind:
    """A fault that may happen at each of `places`; `args` are its settings with their defaults."""

    name: str
    places: tuple[str, ...]
    zh: str
    en: str
    args: Mapping[str, float] = field(default_factory=dict)


class UnknownFault(ValueError):
    """No such fault; `exists` is what could have been named instead."""

    def __init__(self, what: str, exists: list[str]) -> None:
        super().__init__(f"{what}; there is: {', '.join(exists) or 'nothing'}")
        self.exists = exists


# Place: what the phone page calls it, what the docs call it.
PLACES: dict[str, tuple[str, str]] = {
    "pay.prepay": ("下单", "placing an order"),
    "pay.payment": ("付款", "the payer pays"),
    "pay.query": ("查单", "asking about an order"),
    "pay.close": ("关单", "closing an order"),
    "pay.certificates": ("平台证书", "the list of platform certificates"),
    "pay.refund": ("申请退款", "asking for a refund"),
    "pay.refund_query": ("查退款", "asking about a refund"),
    "pay.bill": ("申请账单", "asking for a bill"),
    "pay.bill_download": ("下载账单", "fetching the file of a bill"),
    "pay.notify": ("支付通知", "telling the merchant of a payment"),
    "pay.refund_notify": ("退款通知", "telling the merchant of a refund"),
    "push": ("消息推送", "a message or event for the site"),
    "token": ("access_token", "access_token"),
    "ticket": ("jsapi_ticket", "ticket of the JS-SDK"),
    "ip": ("服务器地址", "addresses of the platform"),
    "menu": ("自定义菜单", "the menu"),
    "custom_send": ("客服消息", "customer-service message"),
    "typing": ("正在输入", "typing state"),
    "template": ("模板消息", "template message"),
    "template_finish": ("模板消息结果", "end of a template message"),
    "mass": ("群发", "mass message"),
    "mass_get": ("查群发", "asking about a mass message"),
    "mass_finish": ("群发结果", "end of a mass message"),
    "user": ("用户", "followers"),
    "tags": ("标签", "tags"),
    "media": ("素材", "media"),
    "qrcode": ("二维码", "QR codes"),
    "quota": ("调用额度", "quota"),
    "sns": ("网页授权接口", "exchange of an OAuth code"),
    "oauth": ("网页授权", "OAuth in the phone"),
    "cas": ("统一身份认证", "validation of a CAS ticket"),
}

ACCOUNT_CALLS = (
    "token",
    "ticket",
    "ip",
    "menu",
    "custom_send",
    "typing",
    "template",
    "mass",
    "mass_get",
    "user",
    "tags",
    "media",
    "qrcode",
    "quota",
    "sns",
)
# Answered with a body that is signed; that of a close is empty.
WITH_BODY = ("pay.prepay", "pay.query", "pay.certificates", "pay.refund", "pay.refund_query", "pay.bill")
SIGNED = (*WITH_BODY, "pay.close")
PAY_CALLS = (*SIGNED, "pay.bill_download")
CALLS = (*PAY_CALLS, *ACCOUNT_CALLS)
NOTICES = ("pay.notify", "pay.refund_notify")
# The same, by the words of the docs; a larger group before those it holds.
GROUPS: dict[str, tuple[str, ...]] = {
    "every place": tuple(PLACES),
    "calls": CALLS,
    "pay calls": PAY_CALLS,
    "signed calls": SIGNED,
    "calls answered with a body": WITH_BODY,
    "account calls": ACCOUNT_CALLS,
    "notices": NOTICES,
}
BILL = ("pay.bill",)

KINDS: tuple[Kind, ...] = (
    # Calls of the site, whatever they are about.
    Kind("none", tuple(PLACES), "照常（占去一次）", "nothing goes wrong; uses up one of `times`"),
    Kind("error_500", CALLS, "系统错误，没有办成", "500, and nothing was done"),
    Kind("error_500_after", CALLS, "系统错误，其实办成了", "500, and yet it was done"),
    Kind("timeout", CALLS, "没有应答，没有办成", "silence, then the line is cut; not done", {"seconds": 30}),
    Kind(
        "effect_then_timeout",
        CALLS,
        "没有应答，其实办成了",
        "silence, then the line is cut; done",
        {"seconds": 30},
    ),
    Kind("reset", CALLS, "连接断开，没有办成", "the line is cut at once; not done"),
    Kind("effect_then_reset", CALLS, "连接断开，其实办成了", "the line is cut instead of an answer; done"),
    Kind("delay", CALLS, "应答迟到", "the answer comes late", {"seconds": 2}),
    Kind("rate_429", PAY_CALLS, "频率超限", "429 FREQUENCY_LIMITED, not done"),
    Kind(
        "drip",
        (*WITH_BODY, "pay.bill_download"),
        "应答一个字节一个字节地来",
        "the body byte by byte, all of it within `seconds`",
        {"seconds": 20},
    ),
    Kind(
        "cut",
        (*WITH_BODY, "pay.bill_download"),
        "应答中途断开",
        "done; the line is cut in the middle of the body",
    ),
    Kind(
        "skew",
        (*PAY_CALLS, *NOTICES),
        "平台时钟不准",
        "the platform's clock is ahead by `seconds` (behind, when negative), for checking and for signing",
        {"seconds": 600},
    ),
    # What signed answers and notices look like.
    Kind("unsigned", (*SIGNED, *NOTICES), "没有签名", "no signature headers"),
    Kind("wrong_key", (*SIGNED, *NOTICES), "签名用错密钥", "signed with another key than the headers name"),
    Kind(
        "unknown_serial", (*SIGNED, *NOTICES), "没见过的密钥序号", "Wechatpay-Serial names a key nobody has"
    ),
    Kind("signtest", (*SIGNED, *NOTICES), "签名探测流量", "a probe: WECHATPAY/SIGNTEST/, must be refused"),
    Kind("stale_timestamp", (*SIGNED, *NOTICES), "一天前的时间戳", "signed a day ago"),
    Kind("future_timestamp", (*SIGNED, *NOTICES), "一小时后的时间戳", "signed an hour from now"),
    Kind("gzip", WITH_BODY, "应答压缩（gzip）", "Content-Encoding: gzip, whatever was asked for"),
    Kind(
        "odd_charset",
        (*WITH_BODY, *NOTICES),
        "字符集写错（GBK）",
        "Content-Type says GBK and text/plain; the bytes are UTF-8 JSON",
    ),
    Kind("no_content_type", (*WITH_BODY, *NOTICES), "没有 Content-Type", "no Content-Type header"),
    Kind(
        "tamper_amount",
        ("pay.query", "pay.refund_query", *NOTICES),
        "金额多一分",
        "rightly signed, the amount is one fen too high",
    ),
    Kind("tamper_openid", ("pay.query", "pay.notify"), "付款人是别人", "rightly signed, another payer"),
    Kind("tamper_mchid", ("pay.query", *NOTICES), "商户号是别人的", "rightly signed, another merchant"),
    Kind("tamper_appid", ("pay.query", "pay.notify"), "公众号是别人的", "rightly signed, another app id"),
    # Orders.
    Kind(
        "answer_202",
        ("pay.prepay", "pay.close", "pay.refund"),
        "已受理，还没有办",
        "202: taken, not yet done; to be repeated unchanged",
    ),
    Kind(
        "before_answer",
        ("pay.prepay",),
        "应答之前已经付款",
        "the payer has paid before the prepay is answered",
    ),
    Kind("query_notpay_first", ("pay.query",), "先说未支付", "a paid order is NOTPAY, still"),
    Kind("query_refund", ("pay.query",), "已支付却说转入退款", "a paid order is in state REFUND"),
    Kind(
        "paid_before_close",
        ("pay.close",),
        "关单之前已经付款",
        "the payer pays just before: ORDERPAID",
    ),
    Kind(
        "paid_after_close",
        ("pay.close",),
        "关单之后仍然付款成功",
        "closed, and a payment under way succeeds all the same",
    ),
    Kind(
        "voucher",
        ("pay.payment",),
        "用了代金券（充值型）",
        "`fen` of the amount are a voucher that the platform pays to the merchant",
        {"fen": 100},
    ),
    Kind(
        "discount",
        ("pay.payment",),
        "用了代金券（免充值型）",
        "`fen` of the amount are a voucher that nobody pays: the merchant gets less",
        {"fen": 100},
    ),
    # Refunds.
    Kind("not_enough", ("pay.refund",), "商户余额不足", "403 NOT_ENOUGH"),
    Kind("account_abnormal", ("pay.refund",), "用户账户异常", "403 USER_ACCOUNT_ABNORMAL"),
    Kind("rate_429_after", ("pay.refund",), "频率超限，其实受理了", "429, and yet it was accepted"),
    Kind("refund_abnormal", ("pay.refund",), "退款异常", "accepted, ends ABNORMAL"),
    Kind("refund_closed", ("pay.refund",), "退款关闭", "accepted, ends CLOSED"),
    Kind("refund_stuck", ("pay.refund",), "一直退款处理中", "accepted, never ends by itself"),
    # Bills.
    Kind("bill_not_ready", BILL, "账单还没出", "STATEMENT_CREATING"),
    Kind("bill_none", BILL, "当天没有账单", "NO_STATEMENT_EXIST"),
    Kind("bill_bad_hash", BILL, "摘要不符", "the hash belongs to another file"),
    Kind("bill_cut", BILL, "文件只有一半", "half of the file"),
    Kind("bill_missing_row", BILL, "少一行", "the first payment is missing"),
    Kind("bill_extra_row", BILL, "多一行", "a payment that looks like ours and was never placed"),
    Kind("bill_foreign_order", BILL, "别的系统的订单", "a payment of another system of the merchant"),
    Kind("bill_duplicate_row", BILL, "重复一行", "the first payment twice"),
    Kind("bill_wrong_amount", BILL, "金额差一分", "the first payment is one fen too high"),
    Kind("bill_other_appid", BILL, "两个公众号", "the first payment belongs to another app id"),
    Kind("bill_wrong_totals", BILL, "合计不符", "the totals leave a row out"),
    # Notices.
    Kind("lost", NOTICES, "丢失", "never sent"),
    Kind("delay", NOTICES, "迟到", "sent after `seconds` of the virtual clock", {"seconds": 60}),
    Kind("duplicate", NOTICES, "重复", "sent `count` times at once", {"count": 2}),
    Kind("before_answer", NOTICES, "先于应答", "sent and answered before anything else goes on"),
    Kind("reorder", NOTICES, "落在下一个通知后面", "held back until another notice has been sent"),
    Kind("same_id", NOTICES, "沿用上一个通知的 id", "another body under the id of the notice before it"),
    # Messages and events.
    Kind("lost", ("push",), "丢失", "the request never arrives; the platform tries again"),
    Kind("drop_answer", ("push",), "站点的应答丢失", "the site's answer is lost; the platform tries again"),
    Kind("repeat", ("push",), "重复", "sent `count` times more", {"count": 1}),
    Kind("delay", ("push",), "迟到", "sent late", {"seconds": 1}),
    Kind("tamper_signature", ("push",), "签名被改", "a wrong signature"),
    Kind("skew", ("push",), "旧的时间戳", "signed `seconds` ago", {"seconds": 3600}),
    # The account's interfaces.
    Kind("not_json", ACCOUNT_CALLS, "应答不是 JSON", "done, answered with an HTML page"),
    Kind("busy", ACCOUNT_CALLS, "系统繁忙", "errcode -1"),
    Kind("invalid_token", ACCOUNT_CALLS, "access_token 无效", "errcode 40001"),
    Kind("expired_token", ACCOUNT_CALLS, "access_token 过期", "errcode 42001"),
    Kind("no_quota", ACCOUNT_CALLS, "没有群发额度", "errcode 45028"),
    Kind("retry_too_fast", ACCOUNT_CALLS, "重试过快", "errcode 45066"),
    Kind("daily_limit", ACCOUNT_CALLS, "当天次数用完", "errcode 45009"),
    Kind("minute_limit", ACCOUNT_CALLS, "每分钟次数超限", "errcode 45011"),
    Kind("window_closed", ACCOUNT_CALLS, "回复窗口已关闭", "errcode 45015"),
    Kind("count_over", ACCOUNT_CALLS, "下行条数超限", "errcode 45047"),
    Kind("lost", ("mass_finish", "template_finish"), "结果事件丢失", "sent, but its end is never told"),
    Kind("user_block", ("template_finish",), "被用户拒收", "failed:user block"),
    Kind("system_failed", ("template_finish",), "系统原因没有送达", "failed: system failed"),
    Kind("snapshot_user", ("oauth",), "快照页用户", "a snapshot page's user instead of a person"),
    Kind("invalid_ticket", ("cas",), "票据无效", "INVALID_TICKET"),
)

_BY_PLACE: dict[str, dict[str, Kind]] = {
    place: {kind.name: kind for kind in KINDS if place in kind.places} for place in PLACES
}


@dataclass(frozen=True)
class Magic:
    """What an order of `fen` does at `place` when magic amounts are on; `args` as of the fault."""

    fen: int
    place: str
    name: str
    zh: str
    en: str
    args: Mapping[str, float] = field(default_factory=dict)


# The payer who closes the sheet is no fault of the platform and has no name in KINDS.
CANCEL = "cancel"
MAGIC: tuple[Magic, ...] = (
    Magic(1, "pay.prepay", "before_answer", "下单即付款", "paid as soon as it is placed"),
    Magic(2, "pay.payment", CANCEL, "付款人取消", "the payer closes the sheet"),
    Magic(3, "pay.notify", "lost", "支付通知丢失", "the notice of the payment is lost"),
    Magic(4, "pay.notify", "duplicate", "支付通知三次", "the notice comes three times", {"count": 3}),
    Magic(5, "pay.notify", "before_answer", "通知先于“支付成功”", "the notice comes before the payer's ok"),
    Magic(
        6,
        "pay.prepay",
        "error_500_after",
        "第一次下单系统错误，随即付款",
        "the first prepay is answered 500 and yet placed; the second is paid at once",
    ),
    Magic(7, "pay.payment", "voucher", "用了 3 分代金券", "3 of the 7 fen are a voucher", {"fen": 3}),
    Magic(8, "pay.refund", "not_enough", "退款时余额不足", "a refund is refused with NOT_ENOUGH"),
    Magic(9, "pay.refund", "refund_abnormal", "退款异常", "a refund ends ABNORMAL"),
)


def find(name: str, place: str) -> Kind:
    """The line of the table. Raises: UnknownFault - no such place, or nothing of that name there."""
    if place not in _BY_PLACE:
        raise UnknownFault(f"no place {place!r}", list(PLACES))
    if name not in _BY_PLACE[place]:
        raise UnknownFault(f"no fault {name!r} at {place}", sorted(_BY_PLACE[place]))
    return _BY_PLACE[place][name]


def check(name: str, place: str, args: Mapping[str, float]) -> None:
    """Refuse what does not exist, also a setting that only another fault has. Raises: UnknownFault."""
    known = find(name, place).args
    unknown = sorted(args.keys() - known.keys())
    if unknown:
        raise UnknownFault(f"no setting {unknown[0]!r} of {name} at {place}", sorted(known))


def as_dict() -> dict[str, Any]:
    """JSON-ready: places, kinds and magic amounts."""
    return {
        "places": {place: {"zh": zh, "en": en} for place, (zh, en) in PLACES.items()},
        "kinds": [asdict(kind) for kind in KINDS],
        "magic": [asdict(magic) for magic in MAGIC],
    }
