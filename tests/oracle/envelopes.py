"""NDJSON envelopes to one polars frame: Python's own JSON parser, one record at a time, every accepted spelling.

Names, subjects and event ids become small integers on the way in; `Vocabulary` turns them back.
"""

from __future__ import annotations

import functools
import gzip
import io
import json
import math
import re
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import polars as pl
import zstandard

EVENT_TYPES = ("Exposure", "Assignment", "Outcome", "AnalysisSignal", "Error")
EXPOSURE, ASSIGNMENT, OUTCOME, SIGNAL, ERROR = range(5)
OUTCOME_TYPES = ("Binary", "Continuous", "Count", "Duration")
BINARY, CONTINUOUS = 0, 1
POLICIES = ("BestEffort", "SessionSticky", "SubjectSticky", "GloballySticky")
SIGNAL_TYPES = (
    "SampleRatioMismatch",
    "SequentialCheckpoint",
    "PeekingWarning",
    "MinimumSampleReached",
    "PowerThresholdMet",
    "Custom",
)
SEVERITIES = ("Info", "Warning", "Error")

# Text members that must be there and not empty.
REQUIRED = {
    EXPOSURE: ("experimentName", "variantKey", "subjectId"),
    ASSIGNMENT: ("experimentName", "subjectId", "newVariantKey"),
    OUTCOME: ("subjectId", "metricName"),
    SIGNAL: ("experimentName", "message"),
    ERROR: ("errorType", "message"),
}
# Text members that results depend on where they are there; all others are only looked at where they could make a record bad.
OPTIONAL = {
    EXPOSURE: ("subjectType", "tenantId"),
    ASSIGNMENT: ("tenantId",),
    OUTCOME: ("experimentName", "variantKey", "tenantId"),
    SIGNAL: (),
    ERROR: ("experimentName", "variantKey", "subjectId", "tenantId"),
}
CAMEL_CASE = frozenset(
    "eventId timestamp eventType schemaVersion payload correlationId metadata experimentName variantKey trialKey subjectId "
    "subjectType tenantId selectionReason rulePath assignmentPolicy isRepeatExposure attributes previousVariantKey "
    "newVariantKey changeReason id outcomeType metricName value signalType severity message data errorType stackTrace".split()
)
ABSENT = -1
MAX_EVENT_ID = 100

_RFC3339 = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:([Zz])|([+-])(\d\d):(\d\d))", re.ASCII
)
_EPOCH_DAY = date(1970, 1, 1).toordinal()


class BadRecord(ValueError):
    """A record that belongs to the dead letters, with the reason."""


class _Real(float):
    """A JSON number with a fraction or an exponent, that still knows its text (a segment value is the JSON text)."""

    text: str

    def __new__(cls, text: str) -> _Real:
        real = super().__new__(cls, text)
        real.text = text
        return real


def _no_such_number(name: str) -> None:
    raise BadRecord(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_float=_Real, parse_constant=_no_such_number)


class Vocabulary:
    """Texts (or tuples of them) as numbers in order of first appearance."""

    def __init__(self) -> None:
        self._codes: dict = {}

    def code(self, value) -> int:
        return self._codes.setdefault(value, len(self._codes))

    def find(self, value) -> int | None:
        return self._codes.get(value)

    def values(self) -> list:
        return list(self._codes)

    def __len__(self) -> int:
        return len(self._codes)


@dataclass
class Records:
    """All decodable records of all partitions, in record order, and the number of the others."""

    frame: pl.DataFrame
    bad: int
    bad_reasons: list[tuple[str, int, str]]
    experiments: Vocabulary
    variants: Vocabulary
    subjects: Vocabulary
    metrics: Vocabulary
    segment_values: Vocabulary
    segments: tuple[str, ...]


@dataclass
class _Columns:
    """One growing column for each member that results depend on."""

    partition: array = field(default_factory=lambda: array("i"))
    event_type: array = field(default_factory=lambda: array("b"))
    event_id: list = field(default_factory=list)
    event_time: array = field(default_factory=lambda: array("q"))
    experiment: array = field(default_factory=lambda: array("i"))
    variant: array = field(default_factory=lambda: array("i"))
    subject: array = field(default_factory=lambda: array("i"))
    metric: array = field(default_factory=lambda: array("i"))
    binary: array = field(default_factory=lambda: array("b"))
    value: array = field(default_factory=lambda: array("d"))


def read(paths: Iterable[Path], segments: tuple[str, ...] = ()) -> Records:
    """Decodes the files, each of them one source partition."""
    return _Reader(segments).read([Path(path) for path in paths])


class _Reader:
    def __init__(self, segments: tuple[str, ...]) -> None:
        self._segments = segments
        self._segment_columns = [array("i") for _ in segments]
        self._columns = _Columns()
        self._experiments, self._variants, self._subjects = Vocabulary(), Vocabulary(), Vocabulary()
        self._metrics, self._segment_values = Vocabulary(), Vocabulary()
        self._bad: list[tuple[str, int, str]] = []

    def read(self, paths: list[Path]) -> Records:
        for partition, path in enumerate(paths):
            for number, line in enumerate(lines(path), start=1):
                if not line.strip():
                    continue
                try:
                    self._take(partition, decode(line))
                except BadRecord as reason:
                    self._bad.append((str(path), number, str(reason)))
        return Records(
            frame=self._frame(),
            bad=len(self._bad),
            bad_reasons=self._bad,
            experiments=self._experiments,
            variants=self._variants,
            subjects=self._subjects,
            metrics=self._metrics,
            segment_values=self._segment_values,
            segments=self._segments,
        )

    def _take(self, partition: int, envelope: Envelope) -> None:
        columns, members = self._columns, envelope.members
        columns.partition.append(partition)
        columns.event_type.append(envelope.event_type)
        columns.event_id.append(envelope.event_id)
        columns.event_time.append(envelope.event_time)
        columns.experiment.append(_code(self._experiments, members.get("experimentName")))
        columns.variant.append(_code(self._variants, members.get("variantKey")))
        subject = members.get("subjectId")
        key = None if subject is None else (members.get("tenantId") or "", subject)
        columns.subject.append(_code(self._subjects, key))
        columns.metric.append(_code(self._metrics, members.get("metricName")))
        columns.binary.append(envelope.outcome_type == BINARY)
        columns.value.append(envelope.value)
        for segment, column in zip(self._segments, self._segment_columns):
            text = envelope.segment(segment) if envelope.event_type == EXPOSURE else None
            column.append(_code(self._segment_values, text))

    def _frame(self) -> pl.DataFrame:
        columns = self._columns
        frame = pl.DataFrame(
            {
                "partition": pl.Series(columns.partition, dtype=pl.Int32),
                "event_type": pl.Series(columns.event_type, dtype=pl.Int8),
                "event_id": pl.Series(columns.event_id, dtype=pl.String),
                "event_time": pl.Series(columns.event_time, dtype=pl.Int64),
                "experiment": pl.Series(columns.experiment, dtype=pl.Int32),
                "variant": pl.Series(columns.variant, dtype=pl.Int32),
                "subject": pl.Series(columns.subject, dtype=pl.Int32),
                "metric": pl.Series(columns.metric, dtype=pl.Int32),
                "binary": pl.Series(columns.binary, dtype=pl.Int8).cast(pl.Boolean),
                "value": pl.Series(columns.value, dtype=pl.Float64),
                **{
                    f"segment_{index}": pl.Series(column, dtype=pl.Int32)
                    for index, column in enumerate(self._segment_columns)
                },
            }
        )
        return frame.with_row_index("row")


def _code(vocabulary: Vocabulary, value) -> int:
    return ABSENT if value is None else vocabulary.code(value)


def lines(path: Path) -> Iterator[bytes]:
    """The lines of a file, unpacked as its name says."""
    if path.suffix == ".zst":
        with open(path, "rb") as packed:
            reader = zstandard.ZstdDecompressor().stream_reader(packed, read_across_frames=True)
            yield from io.BufferedReader(reader, 1 << 20)
    elif path.suffix == ".gz":
        with gzip.open(path, "rb") as unpacked:
            yield from unpacked
    else:
        with open(path, "rb") as plain:
            yield from plain


@dataclass
class Envelope:
    """What results depend on."""

    event_type: int
    event_id: str
    event_time: int
    members: dict[str, str]
    attributes: dict
    outcome_type: int
    value: float

    def segment(self, name: str) -> str | None:
        """The value of a segment: text as it is, anything else as its JSON text, null as absent."""
        if not name.startswith("attributes."):
            return self.members.get(name)
        value = self.attributes.get(name.removeprefix("attributes."))
        if value is None or isinstance(value, str):
            return value
        return value.text if isinstance(value, _Real) else json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def decode(line: bytes) -> Envelope:
    """One record; BadRecord where section 1 of the semantics refuses it."""
    try:
        document = _DECODER.decode(line.decode("utf-8").strip())
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise BadRecord(f"not JSON: {error}") from None
    if not isinstance(document, dict):
        raise BadRecord("not an object")
    document = _camel_case(document)
    event_id = _text(document, "eventId", required=True)
    if len(event_id) > MAX_EVENT_ID:
        raise BadRecord("eventId is longer than 100 characters")
    envelope_time = _timestamp(document, required=True)
    event_type = _enum(document, "eventType", EVENT_TYPES)
    if event_type is None:
        raise BadRecord("eventType is missing")
    _check_version(_text(document, "schemaVersion", required=True))
    payload = _object(document, "payload")
    if payload is None:
        raise BadRecord("payload is missing")
    payload = _camel_case(payload)
    _object(document, "metadata")
    _text(document, "correlationId")
    return _decode_payload(event_id, envelope_time, event_type, payload)


def _decode_payload(event_id: str, envelope_time: int, event_type: int, payload: dict) -> Envelope:
    members = {}
    for name in REQUIRED[event_type]:
        members[name] = _text(payload, name, required=True)
    for name in OPTIONAL[event_type]:
        if (text := _text(payload, name)) is not None:
            members[name] = text
    own_time = _timestamp(payload)
    outcome_type, value = CONTINUOUS, math.nan
    if event_type == OUTCOME:
        chosen = _enum(payload, "outcomeType", OUTCOME_TYPES)
        outcome_type = CONTINUOUS if chosen is None else chosen
        value = _finite(payload.get("value"))
    if event_type in (EXPOSURE, ASSIGNMENT):
        _enum(payload, "assignmentPolicy", POLICIES)
    if event_type == SIGNAL:
        for name, names in (("signalType", SIGNAL_TYPES), ("severity", SEVERITIES)):
            if _enum(payload, name, names) is None:
                raise BadRecord(f"{name} is missing")
    attributes = {} if event_type in (OUTCOME, SIGNAL) else _object(payload, "attributes") or {}
    return Envelope(
        event_type=event_type,
        event_id=event_id,
        event_time=envelope_time if own_time is None else own_time,
        members=members,
        attributes=attributes,
        outcome_type=outcome_type,
        value=value,
    )


def _camel_case(document: dict) -> dict:
    """The object with its PascalCase names as camelCase; where it has both, the camelCase one counts."""
    if document.keys() <= CAMEL_CASE:
        return document
    return {name[:1].lower() + name[1:]: value for name, value in document.items()} | {
        name: value for name, value in document.items() if name[:1].islower()
    }


def _text(document: dict, name: str, required: bool = False) -> str | None:
    value = document.get(name)
    if value is None or value == "":
        if required:
            raise BadRecord(f"{name} is missing")
        return None
    if not isinstance(value, str):
        raise BadRecord(f"{name} is not text")
    return value


def _object(document: dict, name: str) -> dict | None:
    value = document.get(name)
    if value is not None and not isinstance(value, dict):
        raise BadRecord(f"{name} is not an object")
    return value


def _enum(document: dict, name: str, names: tuple[str, ...]) -> int | None:
    value = document.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(names):
        return value
    if isinstance(value, str) and (ordinal := _ordinals(names).get(value.lower())) is not None:
        return ordinal
    raise BadRecord(f"{name} is none of {', '.join(names)}")


@functools.cache
def _ordinals(names: tuple[str, ...]) -> dict[str, int]:
    return {name.lower(): ordinal for ordinal, name in enumerate(names)}


def _finite(value) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise BadRecord("value is not a number")
    try:
        real = float(value)
    except OverflowError:
        raise BadRecord("value is not finite") from None
    if not math.isfinite(real):
        raise BadRecord("value is not finite")
    return real


def _check_version(version: str) -> None:
    if not re.fullmatch(r"\d+\.\d+\.\d+", version, re.ASCII) or int(version.split(".")[0]) != 1:
        raise BadRecord(f"schemaVersion {version} is not 1.x")


def _timestamp(document: dict, required: bool = False) -> int | None:
    text = _text(document, "timestamp", required)
    return None if text is None else timestamp(text)


def timestamp(text: str) -> int:
    """Microseconds since 1970 of an RFC 3339 text with offset; finer digits are cut off."""
    parts = _RFC3339.fullmatch(text)
    if parts is None:
        raise BadRecord(f"{text!r} is not an RFC 3339 instant with offset")
    day, hour, minute, second, fraction, _, sign, offset_hours, offset_minutes = parts.groups()
    if not (int(hour) < 24 and int(minute) < 60 and int(second) < 60):
        raise BadRecord(f"{text!r} has no such time of day")
    days = _days(day)
    if days is None:
        raise BadRecord(f"{text!r} has no such date")
    seconds = days * 86_400 + int(hour) * 3_600 + int(minute) * 60 + int(second)
    if sign:
        offset = int(offset_hours) * 3_600 + int(offset_minutes) * 60
        seconds -= offset if sign == "+" else -offset
    return seconds * 1_000_000 + (int(fraction[:6].ljust(6, "0")) if fraction else 0)


@functools.lru_cache(maxsize=4096)
def _days(day: str) -> int | None:
    """Days since 1970 of YYYY-MM-DD."""
    try:
        return date.fromisoformat(day).toordinal() - _EPOCH_DAY
    except ValueError:
        return None
