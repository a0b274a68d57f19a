"""Where state goes, and that nobody else has it."""

import os
import stat
from pathlib import Path

import pytest

from fastroute.state_dir import StateDirError, hold, state_home

PLACES = {"FASTROUTE_STATE_DIR": "/f", "STATE_DIRECTORY": "/s:/t", "XDG_STATE_HOME": "/x", "HOME": "/h"}


def test_the_nearest_word_about_where_state_goes_is_taken() -> None:
    env = dict(PLACES)
    assert state_home("/chosen", env) == Path("/chosen")
    found = []
    while env:
        found.append(str(state_home(None, env)))
        env.pop(next(iter(env)))
    assert found == ["/f", "/s", "/x/fastroute", "/h/.local/state/fastroute"]
    with pytest.raises(StateDirError, match="FASTROUTE_STATE_DIR"):
        state_home(None, env)


def test_an_instance_has_a_private_folder_of_its_own(tmp_path: Path) -> None:
    instance = hold(tmp_path / "new" / "state", "4000")
    try:
        assert instance.path == tmp_path / "new" / "state" / "4000"
        for folder in (instance.path.parent, instance.path, instance.journal):
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert not os.get_inheritable(instance.lock)
    finally:
        os.close(instance.lock)


def test_a_folder_in_use_names_its_holder_and_is_free_when_that_ends(tmp_path: Path) -> None:
    first = hold(tmp_path, "4000")
    other = hold(tmp_path, "4001")
    with pytest.raises(StateDirError, match=rf"4000 is in use by process {os.getpid()}; .*--state-dir"):
        hold(tmp_path, "4000")
    os.close(first.lock)
    for lock in (hold(tmp_path, "4000").lock, other.lock):
        os.close(lock)


def test_a_place_that_cannot_be_used_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StateDirError, match=r"File exists; .*--state-dir.*journal\.enabled"):
        hold(tmp_path / "file", "4000")
