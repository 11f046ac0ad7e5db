from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from portway.cli.private_home import About, abandoned_homes, discard, private_home
from portway.core.errors import WorldError

ABOUT = About(stack="shop", process_id=7, engine="process", docker_host="unix:///x")


def killed(parent: Path) -> Path:
    """The home of a run that ended without cleaning up."""
    with private_home(parent, ABOUT) as home:
        (home / "portway.db").write_text("x")
    return home


def test_a_home_is_for_its_owner_alone_and_gone_once_discarded(tmp_path: Path) -> None:
    with private_home(tmp_path, ABOUT) as home:
        assert home.stat().st_mode & 0o777 == 0o700
        assert home.parent.stat().st_mode & 0o777 == 0o700
        discard(home)
    assert list(tmp_path.iterdir()) == []


def test_two_runs_have_homes_of_their_own_and_the_first_to_end_leaves_the_other_its(
    tmp_path: Path,
) -> None:
    with private_home(tmp_path, ABOUT) as one, private_home(tmp_path, ABOUT) as other:
        assert one != other
        discard(one)
        assert other.is_dir()


def test_only_the_homes_of_runs_that_ended_are_found_with_what_they_wrote_down(
    tmp_path: Path,
) -> None:
    dead = killed(tmp_path)
    with private_home(tmp_path, ABOUT), abandoned_homes(tmp_path) as found:
        assert [(one.path, one.about) for one in found] == [(dead, ABOUT)]


def test_a_run_killed_outright_gives_its_lock_back(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "from portway.cli.private_home import About, private_home\n"
        "about = About(stack='shop', process_id=os.getpid(), engine='docker')\n"
        "with private_home(Path(sys.argv[1]), about):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False, timeout=30)
    assert done.returncode == -9
    with abandoned_homes(tmp_path) as found:
        assert [one.about.stack for one in found] == ["shop"]


def test_while_one_cleans_up_a_home_nobody_else_does(tmp_path: Path) -> None:
    killed(tmp_path)
    with abandoned_homes(tmp_path) as mine, abandoned_homes(tmp_path) as theirs:
        assert len(mine) == 1
        assert theirs == ()


def test_a_home_that_nobody_wrote_about_was_never_used_and_is_deleted(tmp_path: Path) -> None:
    home = killed(tmp_path)
    (home / "about.json").write_text("{")
    with abandoned_homes(tmp_path) as found:
        assert found == ()
    assert not home.exists()


def test_no_home_at_all_is_nothing_to_clean_up(tmp_path: Path) -> None:
    with abandoned_homes(tmp_path / "never") as found:
        assert found == ()
    assert not (tmp_path / "never").exists()


def test_a_place_that_cannot_be_used_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(WorldError, match="cannot be used: Not a directory"),
        private_home(tmp_path / "file", ABOUT),
    ):
        raise AssertionError
