"""Where a scan's results go: whole or not at all, and never in the place of a pipe, a device or a link."""

from __future__ import annotations

import os
import stat
import threading

import pytest

from birddog.errors import UsageError
from imagery.raster_out import write_text


def test_a_pipe_is_written_and_stays_a_pipe(tmp_path):
    """--out /dev/stdout and --out /dev/full are such names: a rename would put a file in their place."""
    path, got = tmp_path / "pipe", []
    os.mkfifo(path)
    reader = threading.Thread(target=lambda: got.append(path.read_text()))
    reader.start()
    write_text(path, "flags\n")
    reader.join(30)
    assert got == ["flags\n"] and stat.S_ISFIFO(path.stat().st_mode)


def test_a_link_stays_and_its_file_is_replaced(tmp_path):
    (tmp_path / "real.json").write_text("old")
    (tmp_path / "link.json").symlink_to("real.json")
    write_text(tmp_path / "link.json", "new")
    assert (tmp_path / "link.json").is_symlink() and (tmp_path / "real.json").read_text() == "new"
    assert len(list(tmp_path.iterdir())) == 2


def test_a_full_device_is_one_line(tmp_path):
    (tmp_path / "full").symlink_to("/dev/full")  # by a link: were this wrong, the device itself would be gone
    with pytest.raises(UsageError, match="full: cannot be written: No space left on device"):
        write_text(tmp_path / "full", "flags\n")
    assert stat.S_ISCHR((tmp_path / "full").stat().st_mode)


@pytest.mark.parametrize("name", [".", "/", "none/x.json"])
def test_no_place_to_write(tmp_path, name):
    with pytest.raises(UsageError, match="cannot be written"):
        write_text(tmp_path / name, "flags\n")
    assert list(tmp_path.iterdir()) == []
