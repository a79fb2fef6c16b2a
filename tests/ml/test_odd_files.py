"""Model files as people really write them are judged as their library answers, or refused for the right reason."""

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from tests.support import odd_files
from tests.support.odd_files import OddFile, judged

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(900)]


@pytest.mark.parametrize(
    "files",
    [
        odd_files.odd_inputs,
        odd_files.odd_types,
        odd_files.odd_outputs,
        odd_files.odd_labels,
        odd_files.odd_others,
        odd_files.odd_multiclass,
        odd_files.odd_regressions,
        odd_files.odd_versions,
        odd_files.of_scikit_learn,
    ],
)
def test_no_file_is_judged_wrongly_in_silence(tmp_path: Path, files: Callable[[], Iterable[OddFile]]) -> None:
    wrong = [f"{case}: {found.words}" for case in files() if (found := judged(case, tmp_path)).status not in _EXPECTED]
    assert not wrong, "\n".join(wrong)


_EXPECTED = {"right", "refused", "converter"}
