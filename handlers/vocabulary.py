"""The words the bot understands, in half-width lower case; the first of each is the one it shows."""

from __future__ import annotations

RECHARGE = (
    "充值", "网费充值", "我要充值", "立即充值", "充网费", "充钱", "缴费", "交网费", "续费", "cz", "chongzhi",
)  # fmt: skip
RECHARGE_OTHER = (
    "给他人充值", "给别人充值", "帮别人充值", "帮他人充值", "给同学充值", "给室友充值", "给朋友充值",
    "代充", "代充值",
)  # fmt: skip
OTHER_AMOUNT = ("其他金额", "其他", "自定义金额", "其它", "其它金额")
CANCEL = ("取消", "返回", "退出", "算了", "不了", "qx")
BALANCE = ("余额", "查余额", "余额查询", "我的余额", "查询余额", "网费余额", "ye", "yue")
USAGE = ("流量", "用量", "流量用量", "查流量", "流量查询", "流量余额", "剩余流量", "ll", "liuliang")
PACKAGES = (
    "套餐",
    "换购",
    "内网服务",
    "换购套餐",
    "流量包",
    "流量套餐",
    "买流量",
    "换套餐",
    "充值并换购",
    "充值换购",
    "充值买流量",
    "自助服务",
    "tc",
    "taocan",
)
EXCHANGE_LOG = ("换购日志", "换购记录", "套餐记录", "hg")
RECORDS = ("记录", "充值记录", "订单", "我的订单", "订单号", "账单", "jl", "jilu")
NOT_ARRIVED = (
    "没到账",
    "未到账",
    "没有到账",
    "充值没到账",
    "不到账",
    "没到帐",
    "未到帐",
    "钱没到",
    "充值未到账",
)
BIND = ("绑定", "账号绑定", "绑定账号", "我要绑定", "更换账号", "换绑", "bd", "bangding")
UNBIND = ("解绑", "解除绑定", "取消绑定", "解绑账号", "jb")
NOTICES = ("公告", "最新公告", "通知", "消息", "gg", "gonggao")
FEES = ("资费", "资费标准", "收费", "收费标准", "价格", "多少钱", "zf", "zifei")
STEPS = ("流程", "充值流程", "怎么充值", "如何充值", "lc")
COUNTER = ("线下", "线下充值", "现金充值", "柜台", "营业厅", "xx")
HELP = ("帮助", "服务帮助", "菜单", "功能", "help", "?", "bz", "你好", "您好", "hi", "hello")
FAQ = ("常见问题", "问题", "faq", "限速", "网速慢", "网慢")
HUMAN = ("客服", "人工", "人工客服", "转人工", "kf", "kefu")
CONTACT = ("联系我们", "联系", "电话", "热线", "服务热线", "qq群", "联系方式", "投诉", "报修", "dh")
ALERTS = ("提醒", "余额提醒", "流量提醒", "提醒设置", "tx")
ALERTS_STOP = ("停止提醒", "关闭提醒", "取消提醒", "不要提醒")
ALERTS_RESUME = ("恢复提醒", "开启提醒", "打开提醒")

# What a guess may propose; the order decides between equally near ones.
TOPICS = (
    RECHARGE, BALANCE, PACKAGES, USAGE, RECORDS, NOT_ARRIVED, RECHARGE_OTHER, BIND, UNBIND, EXCHANGE_LOG,
    NOTICES, FEES, STEPS, COUNTER, FAQ, HUMAN, CONTACT, HELP, ALERTS, ALERTS_STOP, ALERTS_RESUME,
)  # fmt: skip

AGREE = frozenset(
    {"确认", "确定", "确认充值", "是", "是的", "对", "好", "好的", "可以", "ok", "yes", "y", "qr"}
)
AGREE_UNBIND = AGREE | {"确认解绑"}
# Said outside any state these are answers to a question that is gone.
LATE_AGREE = "确认|确定|确认充值|确认解绑|qr"

_NUMBER = r"[0-9.,零〇一二两俩三四五六七八九十百千万点-]+"
_UNIT = r"(?:元|块|块钱|元钱|圆|yuan|rmb)"
RECHARGE_PREFIX = r"(?:我要|我想|帮我)?(?:网费)?(?:充值|充|cz|续费|交网费)"
QUICK_AMOUNTS = (
    rf"{RECHARGE_PREFIX}\s*[¥￥]?\s*{_NUMBER}\s*{_UNIT}?",
    rf"[¥￥]?\s*{_NUMBER}\s*{_UNIT}",
    rf"[¥￥]\s*{_NUMBER}",
)
# 余额提醒10: below how much the balance is low.
ALERT_THRESHOLD = r"余额提醒\s*([0-9]{1,3})\s*元?"
