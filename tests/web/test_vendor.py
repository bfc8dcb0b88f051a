"""Files by others are exactly what their list says."""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path

VENDOR = Path(__file__).parents[2] / "web" / "static" / "vendor"
PACKAGES = tomllib.loads((VENDOR / "vendor.toml").read_text(encoding="utf-8"))["package"]


def test_every_file_has_the_sum_that_is_written_down() -> None:
    for package in PACKAGES:
        for name, wanted in package["sha256"].items():
            content = (VENDOR / package["folder"] / name).read_bytes()
            assert hashlib.sha256(content).hexdigest() == wanted, name


def test_no_file_lies_there_without_being_listed() -> None:
    listed = {f"{package['folder']}/{name}" for package in PACKAGES for name in package["sha256"]}
    found = {str(path.relative_to(VENDOR)) for path in VENDOR.rglob("*") if path.is_file()}
    assert found - {"vendor.toml"} == listed


def test_every_package_names_its_source_and_licence() -> None:
    for package in PACKAGES:
        assert package["licence"]
        assert package["version"] in package["source"]
        assert (VENDOR / package["folder"] / "LICENSE").is_file()
