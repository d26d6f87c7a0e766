"""The oracle over the Open Bandit envelopes finds what counting finds: `python -m unittest` in this folder."""

from __future__ import annotations

import contextlib
import io
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "oracle"))

import compare  # noqa: E402
import obd  # noqa: E402
import obd_expected  # noqa: E402
import obd_to_envelopes  # noqa: E402
import oracle  # noqa: E402


class OpenBandit(unittest.TestCase):
    def test_the_oracle_finds_the_counts_and_rates_of_the_logs(self) -> None:
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
            root = Path(folder)
            files = obd_to_envelopes.write(root / "events", obd.folder())
            self.assertEqual(sum(files.values()), 60_000 + 287)
            counters = oracle.run(root / "events" / "config.json", root / "found", list(files))
            self.assertEqual((counters["bad"], counters["duplicates"], counters["too_late"]), (0, 0, 0))
            obd_expected.main([str(root / "expected")])
            for rows, differences in compare.compare(
                root / "expected", root / "found", ["assignment_counts", "metric_stats"]
            ).values():
                self.assertGreater(rows, 100)
                self.assertEqual(differences, [])


if __name__ == "__main__":
    unittest.main()
