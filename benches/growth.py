"""How the cost of an event grows: with the length of the stream, and with subjects, experiments and metrics.

    python growth.py BACKPLANE [--scale 1] [--rounds 3] [--only events subjects experiments metrics] [--plot growth.png] [--folder DIR]

The whole job, results only, over made-up streams (`made_stream.py`) of visits: an exposure and an outcome each, 440 bytes an event, at the pace of
the bench preset, 12 hours of event time for a million events. So a longer stream has more windows and evaluations, as many for each event.

- **events**: 1 to 10 million, 400,000 subjects, 20 experiments, 3 metrics.
- **subjects**: 100,000 to 10 million, 2 million events or as many as it takes for each subject to come once. A subject that is new costs more than one
  who comes back, and the share of visits by new ones differs: it stands beside.
- **experiments**: 10 to 1,000, 2 million events, 400,000 subjects. An experiment is evaluated in each minute in which it changed, so with more
  experiments there are more evaluations, at most one for each event: how many stands beside.
- **metrics**: 1 to 16, 2 million events, 400,000 subjects; an outcome is of one of them, results are of all.

Prints tables and draws them. CPU time is that of all the process's threads, user and system. What a job over a single visit takes, with the same
experiments and metrics, is the start and end of a process: it is taken off, and stands beside. `--scale 0.05` makes all streams, and subjects with
them, a twentieth as long, for a trial; what is new then and what is settled is another mixture. Streams are made one by one in the folder and removed:
the longest takes 9 GB, and its checkpoints lie beside it for as long.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
from dataclasses import dataclass, replace
from pathlib import Path

from made_stream import Shape
from whole_job import cpu_seconds, job

MILLION = 1_000_000
PALETTE = {"cpu": "#1f77b4", "wall": "#ff7f0e"}


@dataclass
class Point:
    """One stream, and what an event of it cost: medians, in microseconds, without start and end."""

    size: int
    wall: float
    cpu: float
    spread: str
    ends: float  # seconds of start and end


@dataclass
class Axis:
    """What grows."""

    name: str
    beside: str  # what else there is to know of a stream
    shapes: list[tuple[int, Shape]]
    points: list[Point]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("backplane", type=Path)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=["events", "subjects", "experiments", "metrics"], help="some of the four")
    parser.add_argument("--plot", type=Path, default=Path(__file__).resolve().parent / "growth.png")
    parser.add_argument("--folder", type=Path, default=Path("/tmp/backplane-bench"))
    chosen = parser.parse_args()
    folder = chosen.folder / "growth"
    folder.mkdir(parents=True, exist_ok=True)
    measured = [axis for axis in axes(chosen.scale) if not chosen.only or axis.name in chosen.only]
    try:
        for axis in measured:
            print(f"{axis.name}, {chosen.rounds} rounds, medians\n")
            print(f"| {axis.name} | lines | {axis.beside} | CPU time an event | time an event | least to most | events/s | start and end |")
            print("|---|---|---|---|---|---|---|---|")
            for size, shape in axis.shapes:
                point = measure(chosen, folder, size, shape)
                axis.points.append(point)
                print(
                    f"| {size:,} | {shape.events:,} | {beside(axis.name, shape)} | {point.cpu:.2f} µs | {point.wall:.2f} µs | {point.spread} |"
                    f" {1e6 / point.wall:,.0f} | {point.ends:.2f} s |",
                    flush=True,
                )
            print()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    draw(measured, chosen.plot)


def axes(scale: float) -> list[Axis]:
    def shape(events: int, subjects: int, **more: int) -> Shape:
        return Shape(visits=int(max(events // 2, subjects) * scale), subjects=max(1, int(subjects * scale)), **more)

    many = 400_000
    return [
        Axis("events", "hours", [(int(n * MILLION * scale), shape(n * MILLION, many)) for n in (1, 2, 5, 10)], []),
        Axis(
            "subjects",
            "visits by new ones",
            [(int(n * scale), shape(2 * MILLION, n)) for n in (100_000, MILLION, 5 * MILLION, 10 * MILLION)],
            [],
        ),
        Axis("experiments", "evaluations for each event", [(n, shape(2 * MILLION, many, experiments=n)) for n in (10, 100, 1_000)], []),
        Axis("metrics", "hours", [(n, shape(2 * MILLION, many, metrics=n)) for n in (1, 4, 16)], []),
    ]


def beside(axis: str, shape: Shape) -> str:
    if axis == "subjects":
        return f"{min(1, shape.subjects / shape.visits):.0%}"
    if axis == "experiments":
        # chance decides which experiments change in a minute
        a_minute = shape.pace * 2 * 60
        changed = shape.experiments * (1 - (1 - 1 / shape.experiments) ** a_minute)
        return f"{changed / a_minute:.3f}"
    return f"{shape.hours:.1f}"


def measure(chosen: argparse.Namespace, folder: Path, size: int, shape: Shape) -> Point:
    ends, _, ends_cpu = timed(chosen, folder, replace(shape, visits=1))
    wall, walls, cpu = timed(chosen, folder, shape)
    each = [(seconds - ends) / shape.events * 1e6 for seconds in (wall, min(walls), max(walls))]
    return Point(size, each[0], (cpu - ends_cpu) / shape.events * 1e6, f"{each[1]:.2f} to {each[2]:.2f}", ends)


def timed(chosen: argparse.Namespace, folder: Path, shape: Shape) -> tuple[float, list[float], float]:
    """Median of the seconds that a job takes, all of them, and the median of its CPU time."""
    events = shape.make(folder)
    walls, cpus = [], []
    for _ in range(chosen.rounds):
        before = cpu_seconds()
        walls.append(job(chosen.backplane, events, folder, with_events=False))
        cpus.append(cpu_seconds() - before)
    events.unlink()
    return statistics.median(walls), walls, statistics.median(cpus)


def draw(measured: list[Axis], place: Path) -> None:
    try:
        import matplotlib
    except ImportError:
        print("there is no plot: matplotlib is not installed")
        return
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, len(measured), figsize=(3.6 * len(measured), 3.6), sharey=True, squeeze=False, layout="constrained")
    for panel, axis in zip(panels[0], measured):
        sizes = [point.size for point in axis.points]
        panel.plot(sizes, [point.cpu for point in axis.points], "o-", color=PALETTE["cpu"], label="CPU time")
        panel.plot(sizes, [point.wall for point in axis.points], "s--", color=PALETTE["wall"], label="time, two threads")
        panel.set_xscale("log")
        panel.set_xticks(sizes, [short(size) for size in sizes], minor=False)
        panel.minorticks_off()
        panel.set_xlabel(axis.name)
        panel.grid(axis="y", alpha=0.3)
    panels[0][0].set_ylim(bottom=0)
    panels[0][0].set_ylabel("µs an event")
    panels[0][0].legend(frameon=False)
    figure.savefig(place, dpi=120)
    print(f"plot: {place.name}")


def short(size: int) -> str:
    for unit, name in ((MILLION, "M"), (1_000, "k")):
        if size >= unit:
            return f"{size / unit:g}{name}"
    return str(size)


if __name__ == "__main__":
    main()
