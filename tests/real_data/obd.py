"""The Open Bandit logs: real impressions of a fashion shop with microsecond timestamps and clicks, under two policies.

They travel in the PyPI package `obp` 0.4.1 (Apache-2.0; Saito et al. 2021, "Open Bandit Dataset and Pipeline"): for each of
three campaigns 10,000 impressions of a uniformly random policy and 10,000 of Bernoulli Thompson sampling, of the week from
2019-11-24. `tests/setup_python.sh` installs the package without its dependencies; it is never imported.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import polars as pl

CAMPAIGNS = ("all", "men", "women")
POLICIES = ("random", "bts")


def folder() -> Path:
    """Where the installed package keeps the logs."""
    package = importlib.util.find_spec("obp")
    if package is None or package.origin is None:
        raise SystemExit("the package obp is not installed: run tests/setup_python.sh and use the Python that it prints")
    return Path(package.origin).parent / "dataset" / "obd"


def experiment(campaign: str) -> str:
    """The name of the experiment that compares the policies in a campaign."""
    return f"obd-{campaign}"


def impressions(root: Path, campaign: str, policy: str) -> pl.DataFrame:
    """The log of one policy in one campaign, in its order: timestamp (as text), position, click."""
    path = root / policy / campaign / f"{campaign}.csv"
    return pl.read_csv(path, columns=["timestamp", "position", "click"])
