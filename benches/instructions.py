"""Instructions an event takes on the main path, by what they are for: the whole job, results only, under callgrind.

    python instructions.py BACKPLANE [--of 2000000] [--warm 600000] [--events 20000 120000] [--top 0] [--folder DIR]

A clock on a shared machine says little about a change of a few percent; a count of instructions hardly varies. (It does not show what waits for
memory.) The stream is that of the other benches, `of` lines a day. The job runs over its first `warm` lines as ever, so that its state is past the
correction horizon and there is a checkpoint; from there it goes on twice under callgrind, over `events` lines more, few and many. Start, restoring and
end cost both the same, so what the two differ by is what the lines between cost. One checkpoint, at the end, because a clock has no place here. One
thread each for state and for decoding: where threads take over parts of each other's work callgrind counts them to another caller. Handing out cleared
memory is left out: restoring wants a few blocks of 64 MiB cleared, one more or one less from run to run.

Parts are functions with all that they call, as far as it is no other part; they add up. A function that the compiler has put into its callers has no
figure. `--top 20` adds the functions that most instructions are in themselves.

Needs valgrind, and a binary with its symbols, as `cargo build --release` makes it. Under it a job is some fifty times slower: a few minutes in all.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from whole_job import command, stream

PARTS = {
    "decoding": "backplane_events::decode::Decoder::decode",
    "ids, taking in": "backplane_runtime::dedup::SeenIds::ingest",
    "shards, taking in": "backplane_runtime::pending::Pending::ingest",
    "shards, settling": "backplane_runtime::shard::Shard::settle",
    "evaluations": "backplane_runtime::evaluation::Evaluations::advance",
    "queries of signals": "backplane_queries::standing::StandingQueries::run",
    "journal": "backplane_runtime::epochs::journal::Journal::carry_out",
}
# left out
CLEARED = "__rust_alloc_zeroed"
# where one part calls another by this function, what that costs is the other's
APART = {"evaluations": "backplane_runtime::evaluation::Evaluations::judge"}


@dataclass
class Profile:
    """What callgrind counted, by demangled name."""

    own: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    calls: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))  # by caller and callee, with all that it calls

    def total(self) -> int:
        cleared = {name for name in self.own if name.endswith(CLEARED)}
        return sum(self.own.values()) - sum(map(self.of, cleared))

    def of(self, function: str) -> int:
        """A function with all that it calls; it must not call itself."""
        return self.own.get(function, 0) + sum(cost for (caller, _), cost in self.calls.items() if caller == function)

    def parts(self) -> dict[str, int]:
        found = {part: self.of(function) for part, function in PARTS.items()}
        for part, callee in APART.items():
            found[part] -= self.calls.get((PARTS[part], callee), 0)
        return found | {"everything else": self.total() - sum(found.values())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("backplane", type=Path)
    parser.add_argument("--of", type=int, default=2_000_000, help="lines of the stream, of which the beginning is read")
    parser.add_argument("--warm", type=int, default=600_000)
    parser.add_argument("--events", type=int, nargs=2, default=[20_000, 120_000])
    parser.add_argument("--top", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=Path("/tmp/backplane-bench"))
    chosen = parser.parse_args()
    if not shutil.which("valgrind"):
        sys.exit("valgrind is not installed")
    few, many = chosen.events
    if not 0 <= few < many <= chosen.of - chosen.warm:
        sys.exit("the stream has not so many lines after those that warm the job up")
    folder = chosen.folder / "instructions"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        one, other = profiles(chosen, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    report(one, other, chosen)


def profiles(chosen: argparse.Namespace, folder: Path) -> list[Profile]:
    """Of the job that goes on over few lines, and over many."""
    whole = stream(argparse.Namespace(backplane=chosen.backplane, events=chosen.of, folder=chosen.folder))
    events, job, kept = folder / "head.ndjson", folder / "job", folder / "kept"
    shutil.copy(f"{whole}.config.yaml", f"{events}.config.yaml")
    more = {"engine.parallelism": 1, "engine.checkpoint.interval": "100000s"}
    run = command(chosen.backplane, events, folder, with_events=False, more=more)
    with whole.open("rb") as lines:
        append(events, islice(lines, chosen.warm))
        checked(run)
        shutil.copytree(job, kept)
        found, behind = [], 0
        for number in chosen.events:
            # the same file that the checkpoint knows, longer than before
            append(events, islice(lines, number - behind))
            behind = number
            shutil.rmtree(job)
            shutil.copytree(kept, job)
            out = folder / f"callgrind-{number}"
            checked(["valgrind", "--tool=callgrind", "--fair-sched=try", f"--callgrind-out-file={out}", *run])
            found.append(profile(out))
    return found


def append(events: Path, lines: islice[bytes]) -> None:
    with events.open("ab") as file:
        file.writelines(lines)


def checked(run: list[str | Path]) -> None:
    ended = subprocess.run(run, capture_output=True, text=True)
    if ended.returncode:
        sys.exit(ended.stderr)


def profile(out: Path) -> Profile:
    """Reads callgrind's own format: after `fn=` what a function costs itself, after `cfn=` and `calls=` what a call of another did."""
    names: dict[str, str] = {}

    def named(text: str) -> str:
        # a name is written once, with its number
        number, name = re.fullmatch(r"\((\d+)\)(?: (.*))?", text).groups()
        return names.setdefault(number, name)

    found = Profile()
    function = callee = ""
    is_call = False
    with out.open() as lines:
        for line in lines:
            line = line.rstrip("\n")
            if line.startswith("fn="):
                function = named(line[3:])
            elif line.startswith("cfn="):
                callee = named(line[4:])
            elif line.startswith("calls="):
                is_call = True
            elif line and line[0] in "0123456789+-*":
                cost = int(line.split()[-1])
                if is_call:
                    found.calls[function, callee] += cost
                else:
                    found.own[function] += cost
                is_call = False
    return found


def report(one: Profile, other: Profile, chosen: argparse.Namespace) -> None:
    few, many = chosen.events
    each = (other.total() - one.total()) / (many - few)
    print(f"instructions an event, between {few:,} and {many:,} events after the first {chosen.warm:,} of {chosen.of:,}\n")
    print("| part | function | instructions an event | of all |")
    print("|---|---|---|---|")
    before, after = one.parts(), other.parts()
    for part in before:
        function = "::".join(PARTS.get(part, "").split("::")[-2:])
        cost = (after[part] - before[part]) / (many - few)
        shown = f"{cost:,.0f} | {cost / each:.0%}" if after[part] else "not a function of its own |"
        print(f"| {part} | {f'`{function}`' if function else ''} | {shown} |")
    print(f"| all | | {each:,.0f} | 100% |")
    print(f"\nstart, restoring and end: {one.total() - each * few:,.0f} instructions")
    if chosen.top:
        costs = {name: (cost - one.own.get(name, 0)) / (many - few) for name, cost in other.own.items()}
        print("\n| function, itself | instructions an event |")
        print("|---|---|")
        for name, cost in sorted(costs.items(), key=lambda item: -item[1])[: chosen.top]:
            print(f"| `{name}` | {cost:,.0f} |")


if __name__ == "__main__":
    main()
