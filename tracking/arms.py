"""Receivers of one shipment that are apart and go together: front and rear of a train, fore and aft of a container ship.

Two that were never together and stay as far from each other as they were first seen have a *lever arm*, which is learnt: the
place of the second less its arm is where the first one is, and the row's ellipse holds all of them.  Two that were together
once have none: where these no longer agree they have parted, unless the one is where the other was some seconds before or is
some seconds later, always as many: then it is a clock.  Reports: gcobb321/icloud3_v3#336,
pnbruckner/ha-composite-tracker#32.

How far apart they are is measured at each fix of the second from where the first one is by then, by its own two newest fixes
(or what it states of its velocity), and where those lie too far back, from the way between them once the next is there; the
track's filter, which such a pair pulls to and fro, is not asked.

Over 400 lines: one noun, and what each next fix of it changes.
"""

from __future__ import annotations

import math

import msgspec

from birddog.geo import Plane
from birddog.units import NS
from tracking import bends, hung
from tracking.kernel import APART_MOST_M
from tracking.measurement import Measurement

#: A pair nearer to each other than this by two sigmas was together, one further off by two sigmas is apart, m.
TOGETHER_M = 50.0
#: So many times as far apart as before, and it is a lever arm; so often in a row not, and they go different ways; more often is
#: no more: what has come back goes along again as soon.
STEADY, BROKEN, BREAKS = 3, 2, 4
#: What is so often as far apart, known as well as this, m, and neither seen to be nearer than together nor further, is apart.
DECIDED, NARROW_M = 8, 20.0
#: A distance may be off by so many sigmas and by this share of it (a train in a bend is shorter across) and be the same; while
#: it is learnt by less: what goes away from it would seem to be a longer train each time.
SIGMAS, BEND, LEARNING = 4.0, 0.3, 0.1
#: How well it is known which way it lies, as a share of it.
WAY = 0.08
#: A distance is the mean of about so many.
MEMORY = 20
#: One known no better than this, one sigma, is not asked, m.
VAGUE_M = 150.0
#: Where the first one states no velocity, that of the way to its newest fix is half an interval old: where it is by then is
#: known no better than this, one sigma, m, and it is asked when its next fix is there.  (Its 100 m were lost in it else.)
WAITS_M = 60.0
#: What a fix says of where another receiver is, this long after, is nothing, s.
FRESH_S = 600.0
#: One of which nothing was heard for so long is forgotten, s; and the ellipse holds it no longer, s.
FORGOTTEN_S, HELD_S = 7200.0, 1800.0
#: One sigma of the acceleration of what goes by road, rail or water, m/s²; under this speed it has no course, m/s.
ACCELERATION_MPS2, UNDER_WAY_MPS = 0.3, 3.0
#: What two receivers state beyond this, m² per axis, may last: no number of fixes that agree takes it away, and makes an arm of
#: a cell that is 90 m off.
ROUGH_R = 450.0
#: The errors of two receivers that last, m², and how far their clocks differ, s, one sigma.
LASTING_R, CLOCK_S = 32.0, 0.5
#: The first one is heard as long as no more than so many times its last interval has passed, which is at least this, s.
GOES_ON, GOES_ON_S = 2.5, 5.0
#: A clock is off by so much at most, s, and less than this along the way is none, m, nor one that is not known by so many
#: sigmas to be any.
LAG_MOST_S, LAG_LEAST_M, LAG_SIGMAS = 30.0, 20.0, 3.0
#: The variance of a velocity that nobody knows, per axis, (m/s)².
UNKNOWN_V = 900.0
#: What was seen to go at a speed may go so many times as fast between two fixes.
REACH = 1.5
#: So many of a track's receivers are remembered.
MOST = 8


class Receiver(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One receiver of a track that has several; the first of them is the one that the others' arms are measured from.

    Args:
        time_ns, lat_deg, lon_deg, r: its newest fix, r its variance per axis, m².
        ve_mps, vn_mps, r_v: its velocity there, with a variance per axis; slack_s: so long ago that was its velocity.
        gap_s: the time between its two newest fixes.
        e, n, var: where it is from the first one (its arm, once it has one), m, with a variance per axis.
        course: of the first one at that time, radians, NaN before it was under way; away_m: how far that is on average.
        count: how often it was as far away as before; breaks: how often in a row it was not.
        met: it was together with the first one; has_arm: it is steadily apart from it, and never was.
        lag_s: so many seconds further along the way of the first one it is, as one that was together with it; lags: how often;
            lag_var: how well that is known, s².
        asked: how far away it is at its newest fix has been asked; settled: the track knows of its arm.
        hold: the place that it says, to the digit; while it hangs there (``hung``) all else is as it was when it came there.
        chosen: an operator said that the track is where it is, and others were elsewhere.
        turns: how fast its way was seen to turn at its newest fix, rad/s, right is positive; 0 where it is not known to turn.
        away_var: how well away_m is known, m².
    """

    device: str
    time_ns: int
    lat_deg: float
    lon_deg: float
    r: float
    ve_mps: float = 0.0
    vn_mps: float = 0.0
    r_v: float = 0.0
    slack_s: float = 0.0
    gap_s: float = 0.0
    e: float = 0.0
    n: float = 0.0
    var: float = 0.0
    course: float = math.nan
    away_m: float = 0.0
    count: int = 0
    breaks: int = 0
    met: bool = False
    has_arm: bool = False
    lag_s: float = 0.0
    lags: int = 0
    lag_var: float = 0.0
    asked: bool = False
    settled: bool = False
    hold: hung.Hold | None = None
    chosen: bool = False
    turns: float = 0.0
    away_var: float = 0.0

    @property
    def hangs(self) -> bool:
        """Whether it says its last place again while others have gone on."""
        return self.hold is not None and self.hold.hung_ns > 0

    @property
    def heard_ns(self) -> int:
        """When it was heard last, whatever it said."""
        return self.time_ns if self.hold is None else max(self.time_ns, self.hold.hung_ns)

    @property
    def goes(self) -> bool:
        """Whether it is under way, as far as one can see."""
        return math.hypot(self.ve_mps, self.vn_mps) > 0.5

    @property
    def arm_m(self) -> float:
        """How far from the first one it is for all that is known of it, m."""
        return self.away_m if self.has_arm else 0.0

    @property
    def holds(self) -> bool:
        """Whether its newest fix was where its arm has it."""
        return self.has_arm and self.breaks == 0

    @property
    def may_be_beside(self) -> bool:
        """Whether it may go along with the first one, a part of the shipment's length away: nothing says otherwise yet."""
        if self.met:
            return self.lags > 0 and self.breaks < BROKEN and abs(self.lag_s) <= LAG_MOST_S
        return self.count > 0 and self.breaks < BROKEN and self.away_m <= APART_MOST_M

    def lever(self, ve_mps: float, vn_mps: float) -> tuple[float, float] | None:
        """(e, n) from the first one, m, where it is steadily elsewhere: its arm, or how far its clock has it along the way."""
        if self.has_arm:
            return self.e, self.n
        way_m = abs(self.lag_s) * math.hypot(ve_mps, vn_mps)
        # what has left it is asked as any other is
        known = self.knows_lag and self.breaks < BROKEN and LAG_LEAST_M < way_m <= APART_MOST_M
        return (self.lag_s * ve_mps, self.lag_s * vn_mps) if known else None

    @property
    def knows_lag(self) -> bool:
        """Whether it is known to be some seconds along the way, and that by no chance."""
        sure = self.lag_s**2 > LAG_SIGMAS**2 * self.lag_var
        return self.met and self.lags >= STEADY and abs(self.lag_s) <= LAG_MOST_S and sure


Receivers = tuple[Receiver, ...]


def of(receivers: Receivers, device: str) -> Receiver | None:
    """The one of a name."""
    return next((one for one in receivers if one.device == device), None)


def heard(receivers: Receivers, m: Measurement, ve_mps: float, vn_mps: float) -> Receivers:
    """What is known of a track's receivers with one more fix of one of them.

    Args:
        ve_mps, vn_mps: how the track goes; its arms turn with it.
    """
    since_ns = m.time_ns - int(FORGOTTEN_S * NS)
    if any(one.heard_ns < since_ns and one.device != m.device for one in receivers):
        lead = receivers[0]
        receivers = tuple(one for one in receivers if one.heard_ns >= since_ns or one.device == m.device)
        if receivers[:1] != (lead,):  # arms are measured from the first one
            return ()
    old = of(receivers, m.device)
    if old is None:
        if len(receivers) >= MOST:
            return receivers
        new = Receiver(
            m.device, m.time_ns, m.lat_deg, m.lon_deg, max(m.r_ee, m.r_nn), *_stated(m), hold=hung.held(None, m, 0.0)
        )
    elif m.time_ns <= old.heard_ns:
        return receivers
    else:
        new = _went_on(old, m)
        if new.hold is not None and new.hold.count and (m.hung or _hangs(new, new.hold, receivers)):
            new = msgspec.structs.replace(old, hold=msgspec.structs.replace(new.hold, hung_ns=m.time_ns))
            if old is receivers[0] and not old.hangs:  # the others went another way than a place that says nothing
                receivers = (old, *(msgspec.structs.replace(one, breaks=0) for one in receivers[1:]))
            return tuple(new if one is old else one for one in receivers)
    receivers = tuple(one if one is old else _seen(one, old, new) for one in receivers)
    if not receivers or receivers[0].device != m.device:
        new = _apart(receivers[0], new, ve_mps, vn_mps) if receivers and not receivers[0].hangs else new
        return (*receivers, new) if old is None else tuple(new if one is old else one for one in receivers)
    return (new, *(_apart_since(receivers[0], new, one, ve_mps, vn_mps) for one in receivers[1:]))


def _hangs(one: Receiver, hold: hung.Hold, receivers: Receivers) -> bool:
    """Whether a receiver says its last place again while others have gone on."""
    if hold.hung_ns:
        return True
    others = (other for other in receivers if other.device != one.device and not other.hangs)
    return any(hung.hangs(hold, other, one.arm_m + other.arm_m) for other in others)


def _seen(one: Receiver, old: Receiver | None, other: Receiver) -> Receiver:
    """A receiver after another one's fix: whether that stood where this one says that it is, or passed there with it.

    Args:
        old: the other one before.
    """
    if one.hold is None:
        return one
    lag_s = (one.lag_s if one.knows_lag else 0.0) - (other.lag_s if other.knows_lag else 0.0)
    hold = hung.seen(one.hold, old, other, one.arm_m + other.arm_m, lag_s)
    return one if hold is one.hold else msgspec.structs.replace(one, hold=hold)


def _stated(m: Measurement) -> tuple[float, float, float, float]:
    """(ve, vn, variance per axis, 0 s ago) as a fix states them; a velocity that nobody knows."""
    return (0.0, 0.0, UNKNOWN_V, 0.0) if m.ve_mps is None or m.vn_mps is None else (m.ve_mps, m.vn_mps, m.r_v, 0.0)


def _went_on(old: Receiver, m: Measurement) -> Receiver:
    """A receiver after its next fix: its velocity is the one that it states, or that of the way between the two."""
    r, dt_s = max(m.r_ee, m.r_nn), (m.time_ns - old.time_ns) / NS
    ve, vn, r_v, slack_s = _stated(m)
    e, n = _offset(old.lat_deg, old.lon_deg, m.lat_deg, m.lon_deg)
    if m.ve_mps is None or m.vn_mps is None:
        if math.hypot(e, n) <= 5.0 + 3.0 * math.sqrt(old.r + r) and dt_s >= 1.0:  # it stands, as far as one can see
            r_v = (old.r + r) / dt_s**2 if dt_s < 10.0 else 0.0
            ve, vn = (e / dt_s, n / dt_s) if dt_s < 10.0 else (0.0, 0.0)
        else:
            ve, vn, r_v, slack_s = e / dt_s, n / dt_s, (old.r + r) / dt_s**2, dt_s / 2.0
    hold = hung.held(old.hold, m, math.hypot(e, n) / dt_s)
    before, after = (old.ve_mps, old.vn_mps, old.r_v), (ve, vn, r_v)
    going = min(math.hypot(old.ve_mps, old.vn_mps), math.hypot(ve, vn)) >= UNDER_WAY_MPS
    turns = bends.turning(before, after, dt_s + old.slack_s - slack_s) if going else 0.0
    return msgspec.structs.replace(
        old, asked=False, gap_s=dt_s, time_ns=m.time_ns, lat_deg=m.lat_deg, lon_deg=m.lon_deg, r=r, ve_mps=ve, vn_mps=vn,
        r_v=r_v, slack_s=slack_s, hold=hold, turns=turns,
    )  # fmt: skip


def _offset(lat0_deg: float, lon0_deg: float, lat_deg: float, lon_deg: float) -> tuple[float, float]:
    """(e, n) of one place from another, m, in the plane at the first."""
    return Plane(lat_deg=lat0_deg, lon_deg=lon0_deg).en(lat_deg=lat_deg, lon_deg=lon_deg)


def foretold(lead: Receiver, one: Receiver) -> tuple[float, float, float]:
    """(e, n) of where the first receiver is at the newest fix of another, from its own, and the variance of that per axis, m².

    Where both stand neither has driven off since.
    """
    h = (one.time_ns - lead.time_ns) / NS
    slack_m = ACCELERATION_MPS2 * h * (h / 2.0 + lead.slack_s) if lead.goes or one.goes else 0.0
    e, n, off_m = bends.ahead(lead.ve_mps, lead.vn_mps, h, lead.slack_s, lead.turns)
    return e, n, lead.r + h * h * lead.r_v + slack_m * slack_m + off_m * off_m


def turned(one: Receiver, ve_mps: float, vn_mps: float) -> tuple[float, float, float]:
    """(e, n, course) of an arm with a velocity of the first one; back is no turn: a train shunts, and stays as it is."""
    if math.hypot(ve_mps, vn_mps) < UNDER_WAY_MPS:
        return one.e, one.n, one.course
    course = math.atan2(ve_mps, vn_mps)
    if math.isnan(one.course):
        return one.e, one.n, course
    by = (course - one.course + math.pi / 2.0) % math.pi - math.pi / 2.0
    c, s = math.cos(by), math.sin(by)
    return c * one.e + s * one.n, c * one.n - s * one.e, course


def _apart(lead: Receiver, new: Receiver, ve_mps: float, vn_mps: float) -> Receiver:
    """How far a receiver is from the first one at its newest fix, by where that one is by then."""
    if (new.time_ns - lead.time_ns) / NS > FRESH_S:
        return new
    e0, n0, r0 = foretold(lead, new)
    if not new.has_arm and not new.met and lead.slack_s > 0.0 and math.sqrt(r0) > WAITS_M:
        return new
    e, n = _offset(lead.lat_deg, lead.lon_deg, new.lat_deg, new.lon_deg)
    return _asked(new, e - e0, n - n0, r0, (lead.ve_mps, lead.vn_mps), (ve_mps, vn_mps), lead.r)


def _apart_since(old: Receiver, lead: Receiver, one: Receiver, ve_mps: float, vn_mps: float) -> Receiver:
    """How far a receiver was from the first one at its newest fix, where that lies between the two newest of that one."""
    whole_s, s = (lead.time_ns - old.time_ns) / NS, (one.time_ns - old.time_ns) / NS
    if one.asked or not 0.0 < s < whole_s <= FRESH_S:
        return one
    e1, n1 = _offset(old.lat_deg, old.lon_deg, lead.lat_deg, lead.lon_deg)
    e, n = _offset(old.lat_deg, old.lon_deg, one.lat_deg, one.lon_deg)
    slack_m = ACCELERATION_MPS2 * s * (whole_s - s) / 2.0
    r, share = max(old.r, lead.r), s / whole_s
    e0, n0, ve0, vn0, off_m = bends.between(e1, n1, share, lead.turns * whole_s)
    var = r + slack_m * slack_m + off_m * off_m
    return _asked(one, e - e0, n - n0, var, (ve0 / whole_s, vn0 / whole_s), (ve_mps, vn_mps), r)


def _asked(
    new: Receiver, e: float, n: float, r: float, went: tuple[float, float], goes: tuple[float, float], lead_r: float
) -> Receiver:
    """A receiver that is (e, n) from the first one.

    Args:
        r: the variance per axis of where the first one was; went: its velocity; lead_r: of its fixes alone.
        goes: that of the track, which is the better one where the arm is known.
    """
    sigma_m = math.sqrt(r + new.r + LASTING_R + (went[0] ** 2 + went[1] ** 2) * CLOCK_S**2)
    away_m = math.hypot(e, n)
    if sigma_m > VAGUE_M:  # too vague to learn from; but that they are further apart than any one thing is long may be seen
        far = away_m > APART_MOST_M + SIGMAS * sigma_m
        return msgspec.structs.replace(new, asked=True, breaks=min(new.breaks + 1, BREAKS)) if far else new
    new = msgspec.structs.replace(new, asked=True)
    if new.met:
        return _behind(new, e, n, sigma_m, went)
    near, var = away_m < TOGETHER_M - 2.0 * sigma_m, sigma_m * sigma_m
    old_e, old_n, course = turned(new, *(goes if new.settled else went))
    share = BEND if new.has_arm else LEARNING
    same = new.count > 0 and abs(away_m - new.away_m) <= SIGMAS * sigma_m + share * new.away_m and away_m <= APART_MOST_M
    if not new.has_arm:  # while it is learnt which way it lies counts too: who overtakes is as far away before and after
        same = same and math.hypot(e - old_e, n - old_n) <= SIGMAS * sigma_m + 2.0 * BEND * new.away_m
    if same:
        count = min(new.count + 1, MEMORY)
        # the better known one counts more, and an older one less
        share = away_share = max(new.var / (new.var + var), 0.3)
        if new.has_arm:
            away_share = max(new.away_var / (new.away_var + var), 1.0 / MEMORY)
        away_m, away_var = new.away_m + away_share * (away_m - new.away_m), _mean_var(new.away_var, var, away_share)
        e, n, var = old_e + share * (e - old_e), old_n + share * (n - old_n), _mean_var(new.var, var, share)
        apart_m, sure_m = math.hypot(e, n), 2.0 * math.sqrt(var + max(0.0, lead_r + new.r - ROUGH_R))
        breaks = 0 if new.has_arm else max(0, new.breaks - 1)
        least_m = TOGETHER_M + sure_m
        if count >= DECIDED and sure_m <= NARROW_M:  # steadily just there, and never seen to be nearer
            least_m = TOGETHER_M - sure_m
        return msgspec.structs.replace(
            new, e=e, n=n, var=var, course=course, away_m=away_m, away_var=away_var, count=count, breaks=breaks,
            met=new.met or (not new.has_arm and apart_m < TOGETHER_M - sure_m),
            has_arm=not new.met and (new.has_arm or (count >= STEADY and breaks == 0 and apart_m > least_m)),
        )  # fmt: skip
    breaks = min(new.breaks + (new.count > 0), BREAKS)
    learns = new.count < DECIDED or breaks == BREAKS or near  # what was steady is not another at the first that differs
    if not new.has_arm and learns:
        return msgspec.structs.replace(
            new, e=e, n=n, var=var, course=course, away_m=away_m, away_var=var, count=1, breaks=breaks, met=new.met or near
        )  # fmt: skip
    if near and breaks >= BROKEN:  # they have come together
        return msgspec.structs.replace(new, breaks=breaks, met=True, has_arm=False, settled=False)
    return msgspec.structs.replace(new, breaks=breaks)


def _behind(new: Receiver, e: float, n: float, sigma_m: float, went: tuple[float, float]) -> Receiver:
    """A receiver that was together with the first one and is (e, n) from it now: so many seconds along its way, or away."""
    speed, room_m = math.hypot(*went), SIGMAS * sigma_m
    if speed < UNDER_WAY_MPS:
        near = math.hypot(e, n) <= TOGETHER_M + room_m
        return msgspec.structs.replace(new, breaks=max(0, new.breaks - 1) if near else min(new.breaks + 1, BREAKS))
    lag_s = (e * went[0] + n * went[1]) / speed**2
    across_m = math.hypot(e - lag_s * went[0], n - lag_s * went[1])
    same = new.lags == 0 or abs(lag_s - new.lag_s) * speed <= room_m
    var = (sigma_m / speed) ** 2
    if abs(lag_s) <= LAG_MOST_S and across_m <= room_m and same:
        # the better known ones count more, and older ones less
        share = max(new.lag_var / (new.lag_var + var), 1.0 / MEMORY) if new.lags else 1.0
        return msgspec.structs.replace(
            new, lags=min(new.lags + 1, MEMORY), lag_s=new.lag_s + share * (lag_s - new.lag_s),
            lag_var=_mean_var(new.lag_var, var, share), breaks=max(0, new.breaks - 1),
        )  # fmt: skip
    new = msgspec.structs.replace(new, breaks=min(new.breaks + 1, BREAKS))
    return new if new.lags >= STEADY else msgspec.structs.replace(new, lags=1, lag_s=lag_s, lag_var=var)


def _mean_var(old: float, new: float, share: float) -> float:
    """The variance of a mean of two, to which the new one is so much."""
    return (1.0 - share) ** 2 * old + share * share * new


def gone(receivers: Receivers, device: str, other: str) -> bool:
    """Whether two receivers have been seen to go different ways, and neither can be where the other is.

    Each is known by how it goes along with the first one: the one does and the other does not.
    Where each's fixes are so far from the other's that neither has come from there since, at any speed that it had, a track
    that takes both is pulled to and fro between them, ever faster, until everything fits it.
    """
    if not receivers or device == other:
        return False
    first, second = of(receivers, device), of(receivers, other)
    if first is None or second is None or (first.breaks < BROKEN) == (second.breaks < BROKEN) or first.hangs or second.hangs:
        return False
    between_s = abs(second.time_ns - first.time_ns) / NS
    speed = max(math.hypot(first.ve_mps, first.vn_mps), math.hypot(second.ve_mps, second.vn_mps)) + UNDER_WAY_MPS
    room_m = TOGETHER_M + REACH * speed * between_s + SIGMAS * math.sqrt(first.r + second.r + LASTING_R)
    return math.hypot(*_offset(first.lat_deg, first.lon_deg, second.lat_deg, second.lon_deg)) > room_m


def unsettled(receivers: Receivers) -> bool:
    """Whether there is an arm of which the track does not know yet."""
    return any(one.has_arm and not one.settled for one in receivers[1:])


def settled(receivers: Receivers) -> Receivers:
    """The track knows of all of them."""
    return tuple(msgspec.structs.replace(one, settled=one.has_arm) for one in receivers)


def is_heard(receivers: Receivers, time_ns: int) -> bool:
    """Whether the first one goes on reporting: then the track goes by it, and the others say how far they are from it."""
    lead = receivers[0]
    return not lead.hangs and (time_ns - lead.time_ns) / NS <= GOES_ON * max(lead.gap_s, GOES_ON_S)


def without_lever(lever: tuple[float, float], m: Measurement) -> Measurement:
    """A fix of a receiver that is elsewhere, as the first one would have made it; how well that is known is in its noise."""
    e, n = lever
    r = BEND**2 * (e * e + n * n)
    lat, lon = Plane(lat_deg=m.lat_deg, lon_deg=m.lon_deg).geodetic(-e, -n)
    return msgspec.structs.replace(m, lat_deg=lat, lon_deg=lon, r_ee=m.r_ee + r, r_nn=m.r_nn + r)


def held(receivers: Receivers, time_ns: int, ve_mps: float, vn_mps: float) -> list[tuple[float, float]]:
    """(e, n) from the first one of those that go along with it, with its velocity at a time."""
    since_ns = time_ns - int(HELD_S * NS)
    return [turned(one, ve_mps, vn_mps)[:2] for one in receivers[1:] if one.holds and one.time_ns >= since_ns]
