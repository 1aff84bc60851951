"""The short way of a fix like nearly all (``kernel.follow``) is the long way; and of the ring's filters few are kept."""

from __future__ import annotations

import math
import random

import msgspec
import numpy as np
import pytest

from birddog.geo import LocalFrame
from birddog.units import NS
from tracking import core as nouns
from tracking import kept as kept_form
from tracking import kernel, motion, step
from tracking.measurement import Measurement
from tracking.presets import Presets
from tracking.ring import Ring
from tracking.running import STEP, Running
from tracking.step import Core, Model, advance, followed, placed
from tracking.track_state import KEPT_EACH, LiveTrack, TrackState

T0 = 1_790_000_000 * NS
PRESETS = Presets()


def model(klass: str) -> Model:
    return Model(preset=PRESETS.of(klass), presets=PRESETS, klass=klass)


def fixes(seed: int, klass: str, n: int, lat: float, lon: float) -> list[Measurement]:
    """One or two receivers that drive, stand, state velocities or not, and now and then their own sigma."""
    rng, home, e, out = random.Random(seed), LocalFrame(lat_deg=lat, lon_deg=lon), 0.0, []
    preset, t = model(klass).preset, 0.0
    for k in range(n):
        dt = rng.choice([1.0, 5.0, 5.0, 60.0])
        speed = 0.0 if k % 40 > 25 else 12.0
        t, e = t + dt, e + speed * dt
        stated = rng.random() < 0.3
        r = rng.choice([3.0, 8.0]) ** 2 if stated else max(preset.sigma_m, kernel.SIGMA_FLOOR_M) ** 2
        at = home.geodetic(e + rng.gauss(0, 4), rng.gauss(0, 4))
        v = (speed + rng.gauss(0, 0.3), rng.gauss(0, 0.3)) if rng.random() < 0.5 else (None, None)
        out.append(Measurement(T0 + round(t * NS), f"d{rng.randrange(2)}", "fix", *at, r, 0.0, r, *v,
                               preset.velocity_sigma_mps**2, stated))  # fmt: skip
    return out


def numbers(core: Core) -> list[float]:
    """All floats of a Core but its bank's, which ``test_motion`` compares; what is no float must be equal."""
    sides = core.sides
    assert sides is not None
    out = [core.bias, core.spot_e, core.spot_n, core.stay_e, core.stay_n, core.stay_s, *core.x]
    out += [sides.e, sides.n, sides.r, sides.other_e, sides.other_n, sides.other_r]
    for known in core.noise:
        out += [known.count, known.r, known.count_v, known.r_v, known.count_l, known.r_l]
    return out


def words(core: Core) -> tuple:
    assert core.sides is not None
    return (
        core.time_ns, core.lat0_deg, core.lon0_deg, core.updated_ns, core.first_ns, core.hits, core.refused, core.moved_ns,
        core.rival, core.run, core.recent, core.fixed, core.device, core.fix_ns, core.lent, core.sides.changed_ns,
        core.sides.count, [known.device for known in core.noise],
    )  # fmt: skip


@pytest.mark.parametrize("klass", ["van", "vessel", ""])
@pytest.mark.parametrize("place", [(51.9, 4.0), (-33.0, 179.99), (78.0, 15.0)])
def test_the_short_way_is_the_long_way(klass, place, monkeypatch):
    """Every number of the Core and of its place on Earth, fix after fix, each from the same Core."""
    this, core, short = model(klass), None, 0
    for m in fixes(1, klass, 120, *place):
        found = None if core is None else followed(core, m, this)
        with monkeypatch.context() as patch:
            patch.setattr(step, "followed", lambda *_: None)
            long, verdict, nis = advance(core, m, this)
        if found is not None:
            short += 1
            new, nis_short, where = found
            assert verdict == "used" and nis_short == pytest.approx(nis, rel=1e-9, abs=1e-9)
            assert words(new) == words(long)
            assert numbers(new) == pytest.approx(numbers(long), rel=1e-7, abs=1e-7)
            lat, lon, x = placed(long, long.x)
            assert where[:2] == pytest.approx((lat, lon), abs=1e-11) and where[2] == pytest.approx(x, rel=1e-7, abs=1e-7)
        core = long
    assert short > 100


def test_what_is_no_such_fix_goes_the_long_way():
    """A far one, one that a rival may be made of, one that moves the anchor, a read, one that an operator vouches for."""
    this, core = model("van"), None
    for m in fixes(1, "van", 20, 51.9, 4.0):
        core = advance(core, m, this)[0]
    assert core is not None
    t, home = core.time_ns + NS, LocalFrame(lat_deg=core.lat0_deg, lon_deg=core.lon0_deg)

    def fix(e: float, n: float, origin: str = "fix", here: bool = False, dt_s: float = 0.0) -> Measurement:
        return Measurement(t + int(dt_s * NS), "d0", origin, *home.geodetic(e, n), 25.0, 0.0, 25.0, None, None,
                           this.preset.velocity_sigma_mps**2, True, here)  # type: ignore[arg-type]  # fmt: skip

    x = core.x[0]
    assert followed(core, fix(x, 0.0), this) is not None
    for m in (fix(x + 90_000.0, 0.0), fix(x + 3_000.0, 4_000.0), fix(x, 0.0, "tag_read"), fix(x, 0.0, here=True)):
        assert followed(core, m, this) is None
        assert advance(core, m, this)[1] in ("refused", "moved", "used")
    # a day later it may be 25 km on: believed, and the anchor goes with it
    far = fix(x + 25_000.0, 0.0, dt_s=3600.0)
    assert followed(core, far, this) is None
    after, verdict, _ = advance(core, far, this)
    assert verdict == "used" and after.lon0_deg != core.lon0_deg


def test_interpreted_it_is_the_same(monkeypatch):
    """Where there is no Numba the source runs as it stands."""
    this, plain, core = model("van"), motion.Motion(motion.motion_of("van").modes), None
    plain.step, plain.begin, plain.show = kernel.step, kernel.begin, kernel.show
    plain.follow, plain.follow_all = kernel.follow, kernel.follow_all
    short = 0
    for m in fixes(2, "van", 12, 51.9, 4.0):
        found = None if core is None else followed(core, m, this)
        if found is not None:
            short += 1
            with monkeypatch.context() as patch:
                patch.setattr(nouns, "motion_of", lambda _: plain)
                other = followed(core, m, this)
            assert other is not None and words(other[0]) == words(found[0])
            assert numbers(other[0]) == pytest.approx(numbers(found[0]), rel=1e-9, abs=1e-9)
            assert other[2][:2] == pytest.approx(found[2][:2], abs=1e-12)
        core = advance(core, m, this)[0]
    assert short >= 8


def digits(core: Core | None) -> bytes:
    """All of a Core, its NaN too, which no NaN is equal to."""
    return msgspec.msgpack.encode(core)


def odd(seed: int, n: int) -> list[Measurement]:
    """One receiver's fixes, some of them far off, some at the time of the one before, with gaps, and reads between them."""
    rng, gap_ns, out = random.Random(seed), 0, []
    for m in fixes(seed, "van", n, 51.9, 4.0):
        gap_ns += 700 * NS if rng.random() < 0.02 else 0
        time_ns = m.time_ns + gap_ns
        if out and rng.random() < 0.05:
            time_ns = out[-1].time_ns
        lat = m.lat_deg + (0.05 if rng.random() < 0.03 else 0.0)
        origin = "tag_read" if rng.random() < 0.02 else "fix"
        out.append(msgspec.structs.replace(m, time_ns=time_ns, device="d", lat_deg=lat, origin=origin))
    return out


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_stretch_that_is_run_at_once_is_each_of_its_steps(seed, monkeypatch):
    """What the filters say from any place on, which of them are kept, and each of them: to the last digit."""
    this, some, took = model("van"), odd(seed, 150), []

    def track() -> LiveTrack:
        return LiveTrack(TrackState(track_id="T1", operation="open", key="d:d", ring=Ring(some)))

    at_once = Running.follow_all
    monkeypatch.setattr(Running, "follow_all", lambda self, *a: took.append(a[3] - a[2]) or at_once(self, *a))
    quick, slow = track(), track()
    for first in (0, 140, 40, 90, 17, 149):
        found = quick.since(some[first].time_ns, this)
        with monkeypatch.context() as patch:
            patch.setattr(LiveTrack, "_stretch", lambda _, k, *rest: k + 1)
            one_by_one = slow.since(some[first].time_ns, this)
        assert found.steps == one_by_one.steps and found.nothing == one_by_one.nothing
        assert found.told[:, 1:].tolist() == one_by_one.told[:, 1:].tolist()
        assert [core if isinstance(core, bytes) else digits(core) for core in quick._cores] == [
            core if isinstance(core, bytes) else digits(core) for core in slow._cores]
    assert [(m, digits(core), said) for m, core, said in quick.verdicts(this)] == [
        (m, digits(core), said) for m, core, said in slow.verdicts(this)]
    assert {"began", "used", "refused"} <= {verdict for _, _, (verdict, _) in quick.verdicts(this)}
    assert max(took) > 4 * KEPT_EACH, "more than one that is kept at once"


def test_a_stretch_interpreted_is_the_same(monkeypatch):
    this, plain = model("van"), motion.Motion(motion.motion_of("van").modes)
    some = [msgspec.structs.replace(m, device="d", stated=True) for m in fixes(2, "van", 12, 51.9, 4.0)]
    plain.step, plain.begin, plain.show = kernel.step, kernel.begin, kernel.show
    plain.follow, plain.follow_all = kernel.follow, kernel.follow_all
    one = Running(this)
    one.begin(some[0])
    core = one.core()
    ring = Ring(some)
    compiled, said = np.empty((11, STEP)), np.empty((11, STEP))
    n, kept = one.follow_all(ring, ring.table, 1, 12, compiled, 4)
    monkeypatch.setattr(nouns, "motion_of", lambda _: plain)
    other = Running(model("van"))
    other.load(core)
    again, kept_again = other.follow_all(ring, ring.table, 1, 12, said, 4)
    assert again == n > 4 and said[:n] == pytest.approx(compiled[:n], rel=1e-9, abs=1e-9)
    assert len(kept) == len(kept_again) == (n + 1) // 4
    for mine, others in zip(kept, kept_again, strict=True):
        assert words(kept_form.unpacked(mine)) == words(kept_form.unpacked(others))
    assert words(other.core()) == words(one.core())


def test_tables_of_very_many_times_make_room(monkeypatch):
    m = motion.Motion(motion.MODES)
    monkeypatch.setattr(motion, "TABLES", 20)
    for k in range(1, 100):
        m.tidied()
        at = m.which(k / 8)
        assert (m.tables[at] == m.chances(k / 8)).all()
    assert len(m.known) <= 21 and len(m.tables) == 32


def test_of_the_ring_few_filters_are_kept_and_all_can_be_had():
    """What lies between is made again from the one before it, to the last digit; and so is what a late one changes."""
    this, some = model("van"), fixes(3, "van", 150, 51.9, 4.0)
    every = [(core := advance(None, some[0], this)[0])]
    for m in some[1:]:
        every.append(core := advance(core, m, this)[0])
    live = LiveTrack(TrackState(track_id="T1", operation="open", key="d:d"))
    for m in some:
        live.insert(m, this)
    kept = [core for core in live._cores if core is not None]
    assert len(live._cores) == len(live.state.ring) and len(kept) <= len(live._cores) / KEPT_EACH + 2
    assert sum(isinstance(core, bytes) for core in kept) >= len(kept) - 1
    for core in every:
        as_kept = kept_form.packed(core)
        assert digits(kept_form.unpacked(as_kept)) == digits(core)
    asleep = sum(1 for x in core.bank.x if x is None)
    assert asleep and len(as_kept) < len(digits(core)) - 112 * asleep + 20
    first = len(some) - len(live.state.ring)
    assert first % KEPT_EACH == 0 and digits(live.base) == digits(every[first - 1] if first else None)
    rng = random.Random(4)
    for i in rng.sample(range(first, len(some)), 20):
        assert digits(live.core_at(some[i].time_ns, this)) == digits(every[i])
    late = some[-30]
    live.remove(late)
    assert digits(live.core(this)) != digits(every[-1])
    live.insert(late, this)
    assert digits(live.core(this)) == digits(every[-1]) and [*map(digits, live.cores(this))] == [*map(digits, every[first:])]
    assert not any(math.isnan(nis) for _, _, (_, nis) in live.verdicts(this))


def test_a_filter_that_runs_is_kept_as_its_noun_is():
    """``Running.packed`` and ``kept.packed``, compiled and as it stands: the same bytes."""
    this, some = model("van"), odd(4, 60)
    live, seen = LiveTrack(TrackState(track_id="T1", operation="open", key="d:d")), 0
    plain = np.empty(kernel.HEAD + 64 * kernel.WIDTH)
    for m in some:
        live.insert(m, this)
        running = Running(this)
        core = live.core(this)
        assert core is not None
        if core.rival is not None or core.receivers or core.lent:
            continue
        running.load(core)
        running.made = None
        n = kernel.squeeze(running.row, this.motion.kinds, plain)
        if core.run == 0 and core.time_ns == core.updated_ns == core.fix_ns:  # what runs was used, and was a fix
            seen += 1
            assert running.packed() == kept_form.packed(core) and running.packed()[: 8 * n] == plain[:n].tobytes()
    assert seen > 20


def test_what_is_cut_off_is_no_kept_filter():
    core = advance(None, fixes(3, "van", 1, 51.9, 4.0)[0], model("van"))[0]
    whole = kept_form.packed(core)
    for n in (0, 8, 200, len(whole) - 1):
        with pytest.raises(msgspec.DecodeError):
            kept_form.unpacked(whole[:n])
