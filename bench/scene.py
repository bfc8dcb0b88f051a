"""What all contestants agree on: keys, words, people."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

TOKEN = "benchtoken0123456789"
ENCODING_AES_KEY = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
APP_ID = "wx0123456789abcdef"
ORIGINAL_ID = "gh_0123456789ab"

PEOPLE = 1000

# What our conversation understands, one word of each kind and its commonest second names.
KEYWORDS = (
    "充值", "网费充值", "立即充值", "给他人充值", "代充", "其他金额", "取消", "返回", "余额", "查余额",
    "流量", "用量", "套餐", "换购", "内网服务", "换购日志", "记录", "充值记录", "订单号", "没到账",
    "未到账", "绑定", "账号绑定", "解绑", "公告", "最新公告", "资费", "资费标准", "流程", "充值流程",
    "线下", "线下充值", "帮助", "常见问题", "限速", "客服", "人工", "联系我们", "电话", "qq群",
)  # fmt: skip
BALANCE = "余额"

FOLDER_VARIABLE = "BENCH_FOLDER"
REDIS_VARIABLE = "BENCH_REDIS_URL"


@dataclass(frozen=True)
class Scene:
    """Where a contestant finds the database, the configuration and Redis."""

    folder: Path
    redis_url: str

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.folder / "campusnet.db"

    @property
    def config(self) -> Path:
        """The configuration of our application."""
        return self.folder / "config.toml"

    @classmethod
    def from_environment(cls) -> Scene:
        """As `environment` of the starting process has set it."""
        return cls(Path(os.environ[FOLDER_VARIABLE]), os.environ[REDIS_VARIABLE])

    def environment(self) -> dict[str, str]:
        """The variables for a contestant's process; settings of the person who measures stay out."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("CAMPUSNET_")}
        return kept | {FOLDER_VARIABLE: str(self.folder), REDIS_VARIABLE: self.redis_url}


def openid(number: int) -> str:
    """The openid of one of the people, shaped like WeChat's."""
    return f"oBench_{number:021d}"


def account_no(number: int) -> str:
    """The campus account bound to the same person."""
    return f"24{number:08d}"
