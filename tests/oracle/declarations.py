"""What a configuration declares, as far as results depend on it.

The document is the JSON form of the engine's configuration, with or without the root key `experimentFramework`.
All instants and durations are microseconds.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

MICROSECOND = 1
MILLISECOND = 1_000
SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

_UNITS = {"us": MICROSECOND, "ms": MILLISECOND, "s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY}
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)

DEFAULT_ATTRIBUTION = 7 * DAY
CUMULATIVE = "cumulative"

# Folds in which a subject at risk without an outcome counts as 0; in the others it is absent.
ZERO_FOLDS = ("sum", "count", "any")
FOLDS = ZERO_FOLDS + ("mean", "max", "min", "last")
POLICIES = ("exclude", "firstVariant", "lastVariant")


def duration(text: str) -> int:
    """Microseconds of a duration such as `500ms`, `30s`, `5m`, `1h`, `7d`, or several of them one after another."""
    if text == "0":
        return 0
    parts = re.findall(r"(\d+)(us|ms|s|m|h|d)", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text!r} is not a duration such as 30s, 5m, 1h or 7d")
    return sum(int(number) * _UNITS[unit] for number, unit in parts)


def instant(text: str) -> int:
    """Microseconds since 1970 of an RFC 3339 instant in the configuration."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    elapsed = moment - _EPOCH
    return (elapsed.days * 86_400 + elapsed.seconds) * SECOND + elapsed.microseconds


@dataclass(frozen=True)
class Window:
    """A family of windows: the i-th is [offset + i * slide, offset + i * slide + size)."""

    name: str
    size: int
    slide: int
    offset: int = 0

    @property
    def is_cumulative(self) -> bool:
        return self.name == CUMULATIVE


# The experiment to date, as a window family of which only the window with index 0 can hold an event: it reaches from
# 36,000 years before 1970 to 36,000 years after it. So the code needs no second way for it; nothing is ever late for it.
_FAR = 2**60
EXPERIMENT_TO_DATE = Window(CUMULATIVE, size=2 * _FAR, slide=4 * _FAR, offset=-_FAR)


@dataclass(frozen=True)
class Metric:
    """How the outcomes of a metric fold."""

    name: str
    aggregation: str = "sum"
    lower: float | None = None
    upper: float | None = None
    attribution: int | None = None
    numerator: str | None = None
    denominator: str | None = None

    @property
    def is_ratio(self) -> bool:
        return self.numerator is not None


@dataclass(frozen=True)
class Experiment:
    """What was declared of an experiment; `metrics` None: every declared metric."""

    name: str
    crossovers: str
    attribution: int = DEFAULT_ATTRIBUTION
    metrics: tuple[str, ...] | None = None
    segments: tuple[str, ...] = ()
    epochs: tuple[int, ...] = ()


@dataclass(frozen=True)
class Declarations:
    """All that results depend on."""

    max_out_of_orderness: int = 30 * SECOND
    allowed_lateness: int = 5 * MINUTE
    correction_horizon: int = HOUR
    crossovers: str = "exclude"
    windows: tuple[Window, ...] = ()
    metrics: dict[str, Metric] = field(default_factory=dict)
    experiments: dict[str, Experiment] = field(default_factory=dict)

    def experiment(self, name: str) -> Experiment:
        """The declared experiment, or the defaults of one that only appears in the stream."""
        return self.experiments.get(name) or Experiment(name, self.crossovers)

    def listed(self, experiment: Experiment) -> tuple[str, ...]:
        """The metrics for which the experiment has rows whether or not there are outcomes."""
        return tuple(self.metrics) if experiment.metrics is None else experiment.metrics

    def attribution(self, experiment: Experiment, metric: str) -> int:
        """The attribution window of a metric in an experiment; that of a ratio is its components'."""
        declared = self.metrics.get(metric)
        if declared is not None and declared.is_ratio:
            declared = self.metrics.get(declared.numerator)
        if declared is not None and declared.attribution is not None:
            return declared.attribution
        return experiment.attribution

    def segments(self) -> tuple[str, ...]:
        """Every segment that some experiment asks for."""
        return tuple(dict.fromkeys(name for experiment in self.experiments.values() for name in experiment.segments))


def read(path: Path) -> Declarations:
    """The declarations of a JSON configuration file."""
    return parse(json.loads(Path(path).read_text(encoding="utf-8")))


def parse(document: dict) -> Declarations:
    """The declarations of a configuration document."""
    root = document.get("experimentFramework", document)
    engine = root.get("engine", {})
    time = engine.get("time", {})
    crossovers = _one_of(POLICIES, engine.get("crossovers", "exclude"))
    metrics = [_metric(entry) for entry in root.get("metrics", [])]
    experiments = [_experiment(entry, crossovers) for entry in root.get("experiments", [])]
    return Declarations(
        max_out_of_orderness=duration(time.get("maxOutOfOrderness", "30s")),
        allowed_lateness=duration(time.get("allowedLateness", "5m")),
        correction_horizon=duration(time.get("correctionHorizon", "1h")),
        crossovers=crossovers,
        windows=tuple(_window(entry) for entry in engine.get("windows", [])),
        metrics={metric.name: metric for metric in metrics},
        experiments={experiment.name: experiment for experiment in experiments},
    )


def _one_of(allowed: tuple[str, ...], value: str) -> str:
    if value not in allowed:
        raise ValueError(f"{value!r} is none of {', '.join(allowed)}")
    return value


def _metric(entry: dict) -> Metric:
    ratio = entry.get("ratio") or {}
    winsorize = entry.get("winsorize") or {}
    by_type = "any" if str(entry.get("type", "")).lower() == "binary" else "sum"
    attribution = entry.get("attributionWindow")
    return Metric(
        name=entry["name"],
        aggregation=_one_of(FOLDS, entry.get("aggregation", by_type)),
        lower=winsorize.get("lower"),
        upper=winsorize.get("upper"),
        attribution=None if attribution is None else duration(attribution),
        numerator=ratio.get("numerator"),
        denominator=ratio.get("denominator"),
    )


# the first entry of a list of allocations may have no date
BEFORE_ALL_TIME = -(2**63)


def _experiment(entry: dict, crossovers: str) -> Experiment:
    allocation = entry.get("allocation")
    dated = allocation if isinstance(allocation, list) else []
    metrics = entry.get("metrics")
    return Experiment(
        name=entry["name"],
        crossovers=_one_of(POLICIES, entry.get("crossovers", crossovers)),
        attribution=duration(entry["attributionWindow"]) if "attributionWindow" in entry else DEFAULT_ATTRIBUTION,
        metrics=None if metrics is None else tuple(metrics),
        segments=tuple(entry.get("segments") or ()),
        epochs=tuple(sorted(instant(epoch["from"]) if "from" in epoch else BEFORE_ALL_TIME for epoch in dated)),
    )


def _window(entry: dict) -> Window:
    size = duration(entry["size"])
    slide = duration(entry["slide"]) if entry["type"] == "hop" else size
    return Window(entry["name"], size, slide, duration(entry.get("offset", "0")))
