"""Whole processes, alternately: the job beside DuckDB on the same file.

    python whole_job.py BACKPLANE [--events 2000000] [--rounds 3] [--days 14] [--limit TAPE_PARSE] [--folder DIR]

Generates the stream once (that of `generate --preset bench`, a day; with `--days` as many of the same length from `made_stream.py`, spread over so
many days: the same work an event, and an evaluation each minute as ever), then runs each contender `rounds` times in turn and prints the median events per second, the median CPU time (user
and system) an event, how many cores that kept busy, and the ratios.
Both forms: results only, and results with the events in the lake (DuckDB: as zstd Parquet). With `--limit` (`engine/events/examples/tape_parse.rs`, built)
also how long simd-json takes to read the same lines into tapes on as many threads: parsing alone, the file in memory. No reader of JSON is much quicker.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

from made_stream import Shape

HERE = Path(__file__).resolve().parent


def main() -> None:
    chosen = arguments(__doc__, events=2_000_000, has_days=True)
    events = long_stream(chosen) if chosen.days else stream(chosen)
    contenders = {
        "backplane, results": lambda: job(chosen.backplane, events, chosen.folder, with_events=False),
        "duckdb, results": lambda: duckdb(events, None),
        "backplane, results and events": lambda: job(chosen.backplane, events, chosen.folder, with_events=True),
        "duckdb, results and events": lambda: duckdb(events, chosen.folder / "parquet"),
    }
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    cpu: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(chosen.rounds):
        for name, contender in contenders.items():
            before = cpu_seconds()
            seconds[name].append(contender())
            cpu[name].append(cpu_seconds() - before)
    over = f" over {chosen.days} days" if chosen.days else ""
    print(f"{chosen.events:,} events{over}, {events.stat().st_size / chosen.events:.0f} bytes each, {chosen.rounds} rounds, medians")
    rate = {name: chosen.events / statistics.median(times) for name, times in seconds.items()}
    for name, times in seconds.items():
        spread = f"{min(times):.2f} to {max(times):.2f} s"
        busy = statistics.median(used / time for used, time in zip(cpu[name], times))
        each = statistics.median(cpu[name]) / chosen.events * 1e6
        print(f"  {name:32} {rate[name]:>12,.0f} events/s   {spread:16}   {each:.2f} µs of CPU time an event, {busy:.2f} cores")
    for form in ("results", "results and events"):
        print(f"  ratio to DuckDB, {form:18} {rate['backplane, ' + form] / rate['duckdb, ' + form]:.2f}")
    if chosen.limit:
        limit = statistics.median(tapes(chosen.limit, events) for _ in range(chosen.rounds))
        print(f"  simd-json's tapes, 2 threads {limit:>19,.0f} lines/s")
        print(f"  ratio to it, results          {rate['backplane, results'] / limit:.2f}")


def tapes(program: Path, events: Path) -> float:
    """Lines a second."""
    ended = subprocess.run([program, events, "2"], check=True, capture_output=True, text=True)
    return json.loads(ended.stdout)["lines_per_second"]


def cpu_seconds() -> float:
    """What all processes that were started and have ended used, user and system."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def arguments(doc: str | None, events: int, has_days: bool = False) -> argparse.Namespace:
    """What is run how often where."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("backplane", type=Path)
    parser.add_argument("--events", type=int, default=events)
    parser.add_argument("--rounds", type=int, default=3)
    if has_days:
        parser.add_argument("--limit", type=Path, help="the program that makes tapes")
        parser.add_argument("--days", type=int, help="of event time; without it the one day of the preset")
    parser.add_argument("--folder", type=Path, default=Path("/tmp/backplane-bench"))
    chosen = parser.parse_args()
    chosen.folder.mkdir(parents=True, exist_ok=True)
    return chosen


def stream(chosen: argparse.Namespace) -> Path:
    """The file of events, generated where it is not there yet."""
    events = chosen.folder / f"bench-{chosen.events}.ndjson"
    if not events.exists():
        generate = ["generate", "--preset", "bench", "--events", str(chosen.events), "--seed", "1", "-o", str(events)]
        subprocess.run([chosen.backplane, *generate], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return events


def long_stream(chosen: argparse.Namespace) -> Path:
    """As many events and subjects as the preset has, over more days."""
    visits = chosen.events // 2
    return Shape(visits, subjects=chosen.events // 5, pace=visits / (chosen.days * 86_400)).make(chosen.folder)


def command(backplane: Path, events: Path, folder: Path, with_events: bool, more: dict[str, object] | None = None) -> list[str | Path]:
    """The job over a file, with a folder of its own that is empty."""
    work = folder / "job"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    take = "events, results, signals" if with_events else "results, signals"
    sets = {
        "engine.sources": f"[{{ type: file, options: {{ paths: '{events}' }} }}]",
        "engine.sinks": f"[{{ type: lake, options: {{ url: '{work / 'lake'}' }}, take: [{take}] }}]",
        "engine.deadLetter.options.path": work / "dead-letters.ndjson",
        "engine.parallelism": 2,
        "engine.checkpoint.interval": "1s",
        "engine.checkpoint.url": work / "checkpoints",
    } | (more or {})
    run: list[str | Path] = [backplane, "run", f"{events}.config.yaml", "--until-end", "--log", "error"]
    return run + [word for place, value in sets.items() for word in ("--set", f"{place}={value}")]


def job(backplane: Path, events: Path, folder: Path, with_events: bool, more: dict[str, object] | None = None) -> float:
    run = command(backplane, events, folder, with_events, more)
    started = time.perf_counter()
    ended = subprocess.run(run, capture_output=True, text=True)
    if ended.returncode:
        sys.exit(ended.stderr)
    return time.perf_counter() - started


def duckdb(events: Path, parquet: Path | None) -> float:
    command = [sys.executable, HERE / "duckdb_reference.py", events, *(["--parquet", parquet] if parquet else [])]
    started = time.perf_counter()
    ended = subprocess.run(command, capture_output=True, text=True)
    if ended.returncode:
        sys.exit(ended.stderr)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
