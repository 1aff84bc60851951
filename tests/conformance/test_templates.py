"""To add a format, a transport or a detector is what docs/architecture.md says: the template, copied, passes its suite."""

from __future__ import annotations

import importlib
import importlib.util
import os
import shutil
import sys
import threading
from pathlib import Path

import pytest

import devices.formats
import imagery.detectors
import ingest
from devices import codec
from imagery import detector
from ingest import transports

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = ROOT / "tools" / "templates"


def suite(name: str):
    """A conformance suite as a module: what it judges is listed when it is loaded."""
    spec = importlib.util.spec_from_file_location(f"suite_of_a_template_{name}", Path(__file__).with_name(f"test_{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def added(tmp_path, monkeypatch):
    """``added(package, template, name)``: the package has one more file, in the state that the template is in."""
    made = []

    def add(package, template: str, name: str) -> None:
        for file in TEMPLATES.glob(f"{template}.*"):
            shutil.copy(file, tmp_path / file.name.replace(template, name, 1))
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
        importlib.invalidate_caches()
        made.append((package, name))

    yield add
    for package, name in made:
        sys.modules.pop(f"{package.__name__}.{name}", None)
        vars(package).pop(name, None)
    codec.gateway_topics.cache_clear()


def test_a_format_is_one_file_with_its_samples(added):
    added(devices.formats, "format", "tmp_probe")
    assert "tmp-probe" in codec.names() and codec.known("tmp-probe")
    judge = suite("codecs")
    assert "tmp-probe" in judge.FORMATS
    for test in ("form", "facts", "samples", "encode_then_decode", "no_single_flip_of_a_sample_raises_or_misplaces",
                 "deep_and_long_input", "state_is_bounded", "details_hold_no_position", "answers_can_be_kept_and_read_again"):
        getattr(judge, f"test_{test}")("tmp-probe")


def test_a_detector_is_one_file(added):
    added(imagery.detectors, "detector", "tmp_bright")
    assert "tmp-bright" in detector.names()
    judge, module = suite("detectors"), detector.find("tmp-bright")
    judged = [test for name, test in vars(judge).items() if name.startswith("test_")]
    for test in judged:
        test(module)
    assert len(judged) >= 6


def test_a_transport_is_one_file_one_line_and_a_rig(added, tmp_path, monkeypatch):
    added(ingest, "transport", "tmp_pipe")
    monkeypatch.setattr(transports, "MODULES", [*transports.MODULES, "tmp_pipe"])
    judge = suite("transports")

    class Pipe(judge.Rig):
        answers = False

        def before(self):
            self.path = tmp_path / "pipe"
            os.mkfifo(self.path)

        def settings(self):
            return {"name": "r", "path": str(self.path), "format": "lines"}

        def wrong(self):
            return self.settings() | {"path": ""}

        def send(self, transport):
            with open(self.path, "wb", buffering=0) as pipe:
                for number in range(judge.MANY):
                    pipe.write(b"%d\n" % number)

    judge.add_lines(monkeypatch)
    kind = transports.kinds()[-1]
    assert kind.section == "pipe"
    for test in ("it_acknowledges_what_is_on_disk_and_nothing_before", "a_full_intake_holds_the_line_and_nothing_is_lost",
                 "it_stops_twice_and_lets_go_of_its_thread"):
        rig = Pipe(tmp_path)
        rig.kind_of = kind
        rig.before()
        getattr(judge, f"test_{test}")(rig)
        rig.path.unlink()
    rig.before()
    with monkeypatch.context() as patched:
        judge.test_a_setting_is_checked_without_building_anything(rig, patched)
    assert not [thread for thread in threading.enumerate() if thread.name == "pipe:r"]


def test_the_sections_of_the_toml_follow_from_the_registry():
    from opsroom.app import Config

    assert {kind.section for kind in transports.kinds()} <= set(Config.__struct_fields__)
