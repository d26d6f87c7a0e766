"""Streams of a shape that is asked for: so many visits, subjects, experiments and metrics, at a constant pace of event time.

`backplane generate` makes one shape, with all that goes wrong in real streams; this makes any, with nothing wrong in it, and quickly. A visit is an
exposure and, `LAG` visits later, its outcomes, metrics in turn. Subjects come in rounds: each comes once in a round, every round in another order, so
that those who come back are found all over the state and not where the last one was.
"""

from __future__ import annotations

import itertools
import json
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Iterator

START = datetime(2026, 1, 5, tzinfo=timezone.utc)
TENANTS = ("acme", "globex", "initech", "umbrella")
PLATFORMS = ("web", "ios", "android", "tv")
VARIANTS = ("control", "treatment")
KINDS = ({"type": "Continuous"}, {"type": "Binary"}, {"type": "Duration", "aggregation": "mean"})
# by how many visits outcomes come after their exposures
LAG = 500
# no number of subjects in use is divisible by any of them
STEPS = (1, 1_000_003, 15_485_863, 32_452_843, 49_979_687, 67_867_967, 86_028_121)
ALL_BITS = (1 << 64) - 1


@dataclass(frozen=True)
class Shape:
    """What a stream is like."""

    visits: int
    subjects: int
    experiments: int = 20
    metrics: int = 3
    outcomes: int = 1  # of a visit
    pace: float = 2_000_000 / 86_400 / 2  # visits in a second of event time; the bench preset's 2,000,000 lines are a day
    attribution: str = "6h"  # how long outcomes count
    is_terse: bool = False  # only the members that are required, and the tenant
    tail: int | None = None  # after so many seconds of event time there is one line more
    engine: dict[str, object] = field(default_factory=dict)  # of the configuration

    @property
    def events(self) -> int:
        return self.visits * (1 + self.outcomes) + (self.tail is not None)

    @property
    def hours(self) -> float:
        """The event time that it covers."""
        return self.visits / self.pace / 3600

    def make(self, folder: Path) -> Path:
        """The file of events, with a configuration beside it."""
        path = folder / "made.ndjson"
        with path.open("w", buffering=1 << 20) as file:
            file.writelines(self.lines())
        Path(f"{path}.config.yaml").write_text(json.dumps(self.configuration(path)))
        return path

    def configuration(self, path: Path) -> dict[str, object]:
        metrics = [{"name": metric_name(number), **KINDS[number % len(KINDS)]} for number in range(self.metrics)]
        experiment = {
            "allocation": {variant: 0.5 for variant in VARIANTS},
            "attributionWindow": self.attribution,
            "startsAt": START.isoformat(),
            "plan": {"subjectsPerVariant": 20_000, "minimumEffect": 0.02},
        }
        return {
            "metrics": metrics,
            "experiments": [{"name": experiment_name(number), **experiment} for number in range(self.experiments)],
            "engine": {
                "sources": [{"type": "file", "options": {"paths": str(path)}}],
                "windows": [{"name": "hourly", "type": "tumble", "size": "1h"}],
                **self.engine,
            },
        }

    def lines(self) -> Iterator[str]:
        exposure, outcome = (terse_exposure, terse_outcome) if self.is_terse else (usual_exposure, usual_outcome)
        start, step = int(START.timestamp() * 1000), 1000 / self.pace
        metrics = itertools.cycle(metric_name(number) for number in range(self.metrics))
        numbers = itertools.count()
        second, text = -1, ""
        exposed: deque[str] = deque()
        for visit in range(self.visits + LAG):
            now, rest = divmod(start + int(visit * step), 1000)
            if now != second:
                second, text = now, instant(now)
            time = f"{text}.{rest:03d}Z"
            if visit < self.visits:
                exposed.append(self.who(self.subject_of(visit)))
                yield exposure(next(numbers), time, exposed[-1])
            if visit >= LAG:
                who = exposed.popleft()
                for _ in range(self.outcomes):
                    yield outcome(next(numbers), time, who, next(metrics))
        if self.tail is not None:
            yield exposure(next(numbers), instant(second + self.tail) + "Z", self.who(self.subjects))

    def who(self, subject: int) -> str:
        """A subject, the experiment that it is in, and its variant there."""
        bits = mixed(subject)
        experiment = experiment_name((bits >> 32) % self.experiments)
        return (
            f'"experimentName":"{experiment}","variantKey":"{VARIANTS[bits & 1]}",'
            f'"subjectId":"{subject_id(subject)}","tenantId":"{TENANTS[bits >> 8 & 3]}"'
        )

    def subject_of(self, visit: int) -> int:
        turn, place = divmod(visit, self.subjects)
        return (place * STEPS[turn % len(STEPS)] + turn) % self.subjects


def experiment_name(number: int) -> str:
    return f"experiment-{number + 1:04d}"


def metric_name(number: int) -> str:
    return f"metric-{number + 1:02d}"


def key_bytes() -> float:
    """Bytes of a subject's tenant and id, which whatever knows subjects has to keep."""
    return sum(map(len, TENANTS)) / len(TENANTS) + len(subject_id(0))


def subject_id(subject: int) -> str:
    return f"user-{subject:08d}"


def mixed(number: int) -> int:
    """Bits that look like chance."""
    bits = number * 0x9E3779B97F4A7C15 & ALL_BITS
    return (bits ^ bits >> 29) * 0xBF58476D1CE4E5B9 & ALL_BITS


def instant(second: int) -> str:
    return datetime.fromtimestamp(second, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")


def usual_exposure(number: int, time: str, who: str) -> str:
    bits = number * 0x9E3779B1 & 0xFFFFFFFF
    return (
        f'{{"eventId":"{bits:08x}-7c1d-4a52-9b3e-{number:012x}","timestamp":"{time}","eventType":"Exposure","schemaVersion":"1.0.0",'
        f'"payload":{{{who},"subjectType":"user","timestamp":"{time}","selectionReason":"hash-assignment","assignmentPolicy":"SubjectSticky",'
        f'"isRepeatExposure":false,"attributes":{{"platform":"{PLATFORMS[bits >> 16 & 3]}","country":"de"}}}},"correlationId":"req-{bits:016x}"}}\n'
    )


def usual_outcome(number: int, time: str, who: str, metric: str) -> str:
    bits = number * 0x9E3779B1 & 0xFFFFFFFF
    return (
        f'{{"eventId":"{bits:08x}-7c1d-4a52-9b3e-{number:012x}","timestamp":"{time}","eventType":"Outcome","schemaVersion":"1.0.0",'
        f'"payload":{{"id":"oc-{bits:016x}",{who},"outcomeType":"Continuous","metricName":"{metric}","value":{bits >> 25}.{bits & 63},'
        f'"timestamp":"{time}"}}}}\n'
    )


def terse_exposure(number: int, time: str, who: str) -> str:
    return (
        f'{{"eventId":"{number * 0x9E3779B1 & 0xFFFFFFFF:08x}-{number:012x}","timestamp":"{time}","eventType":"Exposure","schemaVersion":"1.0.0",'
        f'"payload":{{{who}}}}}\n'
    )


def terse_outcome(number: int, time: str, who: str, metric: str) -> str:
    return (
        f'{{"eventId":"{number * 0x9E3779B1 & 0xFFFFFFFF:08x}-{number:012x}","timestamp":"{time}","eventType":"Outcome","schemaVersion":"1.0.0",'
        f'"payload":{{{who},"metricName":"{metric}","value":{number & 127}}}}}\n'
    )
