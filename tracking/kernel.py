"""The sums of one step of a bank of motions, compiled: exchange, prediction, position, velocity, and the Gaussian of it all.

``step`` does all that one message needs in one call: sixteen motions in 4 µs, where Python's own floats need 200.  ``follow``
does with it all that a fix like nearly all means to its track: its place about the anchor, what is learnt of its receiver,
where it stays, and where that is on Earth; ``begin`` is the first of them, ``show`` where that is believed to be later.
Theirs is one row of numbers a track, changed in place (``tracking.running``).
``compiled`` compiles it with Numba when it is first asked for (some seconds, once: the machine code is kept beside the source
or, where that may not be written, in the user's cache) or fetches what was kept (half a second, Numba's import included).
Where there is no Numba the same source runs interpreted: the same digits, some hundred times slower.  No fast-math: sums stay
in the order in which they are written.

A bank of M motions is one array of 15 M numbers: of each motion its chance, then the 14 of ``tracking.engine.State``
(e, ve, n, vn and the upper triangle of P).  Motions with a chance under ``AWAKE`` sleep (the first number of P is ``ASLEEP``):
their chance goes on as the Markov chain says, measurements change nothing of it, and nothing begins from their state.  So what
is rare keeps its chance however long nothing shows it: who stood for a day may go off.  A measurement that none of the
others foretells wakes all.  Sources as in ``tracking.bank`` and ``tracking.engine``.

Longer than 400 lines: what is compiled together and kept together stands in one file.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from types import FunctionType
from typing import Any, NamedTuple

import numpy as np

from birddog.geo import A_M, B_M, E2

#: Numbers of one motion in a bank; of what ``step`` adds behind it: 14 of the Gaussian, NIS, log density, NIS of the velocity.
WIDTH, TAIL = 15, 17
#: There are not more motions than this, and they are summed in rows of so many; numbers to work in.
LANES = 16
WORK = 19 * LANES
#: What ``step`` is to do, added up.
AHEAD, POSITION, VELOCITY = 1, 2, 4
#: A motion's state is carried where its chance is at least this.
AWAKE = 2e-3
#: In the place of a sleeping motion's variance.
ASLEEP = -1.0
#: A measurement that no awake motion foretells better than this (NIS, 2 degrees of freedom) wakes every motion.
SURPRISE = 9.0
#: The residual velocity of a parked mode, (m/s)², and the chance below which a mode does not widen the ellipse (``bank``).
STILL, RARE = 1e-4, 4e-3
# What ``follow`` shares with the modules that say what it is for (``sides``, ``learnt``, ``step``, ``anchor``).  It stands
# here, for what Numba keeps is made anew when this file changes, and no other; so does what is copied of ``birddog.geo``.
#: ``sides``: a fix is at a new place where it lies further than so many sigmas (squared) of it and of the place from both;
#: where it changed sides before this far, and after more such fixes in a row than this.
BEYOND, BEYOND_TORN, OFF = 9.0, 16.0, 2.0
#: What is known of a place is no less than so much of a fix's variance, and no fix is better than this, m².
PLACE_LEAST, FIX_LEAST = 0.1, 9.0
#: On one side for longer than this, s, it is a stay, and what comes after it another matter; what is torn is no more then.
PAUSE_S, ALONE_S = 600.0, 1800.0
#: So many changes of side: it may be no journey.
TURNS = 3
#: Two places nearer to each other than this are one, m; further than this apart somebody has to decide which is right.
APART_LEAST_M, APART_MOST_M = 15.0, 1000.0
#: Nor do two that are not so many sigmas (squared) of what is known of them apart differ.
APART_NIS = 60.0
#: How sure it is that it is none, as logs of odds against two journeys (below): from so much on against the first it is shown
#: between, from so much against both it is said; no more is summed.
TORN, TORN_SAID, TORN_MOST = 0.25, 6.0, 12.0
#: What goes to and fro and stops in between, or hardly does: it stops for so long, s, and so many of its fixes are on its way.
STOPS_S, STOPS_WAY = 90.0, 0.3
HARDLY_S, HARDLY_WAY = 30.0, 0.5
#: It is at neither place at about so many m/s: from stop to stop at so many m/s², or no faster than this.
STOPS_MPS2, HARDLY_MPS = 1.5, 4.0
#: One fix says no more than this against two places, and one change no more than this for them; no change is likelier than by
#: this chance not to be one.
MID_MOST, CHANGE_MOST, CHANCE_LEAST = 3.0, 2.5, 0.1
#: A fix that says that it goes faster than this, m/s, says so much against two places.
GOES_MPS, GOES = 0.8, 2.0
#: Or it says nothing on its way: then a report comes later than usual (by this share and so many s) where it changed sides, and
#: no sooner than this share of the time from stop to stop at so many m/s².
LATER, LATER_S, HIDDEN_LEAST, HIDDEN_MPS2, HIDDEN_MOST = 0.1, 2.0, 0.6, 1.2, 0.95
#: How long it usually is from one report to the next: each tells with this share, none lengthens it by more than this.  Of ten
#: so many come no later: so it is taken to be, and is a mean of about ten, within these bounds.
SHORTER, LONGER, EVEN, EVEN_GAIN, EVEN_LEAST, EVEN_MOST = 0.2, 0.05, 0.95, 0.1, 0.02, 0.99
#: What tells against two sources is remembered, to this sum; at a new place nearer to one of two than this share of what they
#: are apart all of it, elsewhere this share.
QUICK_LEAST, NEAR_SHARE, FORGETS = -8.0, 0.8, 0.5
#: ``learnt``: the class's sigma counts as so many fixes, and a learnt one is the mean of about so many.
NOISE_PRIOR, NOISE_MEMORY = 2.0, 30.0
#: What is found of a device begins with its class's variance, or so many times what it states.
SAID_MOST = 4.0
#: A learnt sigma stays within these factors of the class's, and one fix counts for no more than so much of its variance.
NOISE_LEAST, NOISE_MOST, NOISE_STEP = 0.25, 3.0, 9.0
#: No position and no velocity is believed to be better than this, one sigma per axis.
SIGMA_FLOOR_M, VELOCITY_LEAST_MPS = 0.5, 0.1
#: Nor a velocity, as a share of the speed, than a course in whole degrees: half a degree / √3.  An aeroplane's is off by more
#: than 1 m/s.
VELOCITY_SHARE = 0.005
#: Errors last for about so long, s: fixes within it are one witness of how far they carry.
LASTING_S = 300.0
#: What is taken of an unstated error's variance to last before it was seen counts as so many witnesses; no more than so many
#: are remembered.
LASTING_PRIOR, LASTING_MEMORY = 2.0, 60.0
#: Of a fix that states no sigma so much, one sigma, lasts at least: fixes that agree teach how far they differ, not how far
#: all of them are off (its square is exact: as compiled and as not, to the last bit).  Until it stood somewhere for a while it
#: is taken to be this share of the class's variance.
LASTING_M, LASTING_SHARE = 3.5, 0.5
#: Of a receiver that states its sigma so many times that variance lasts, until its errors are seen not to: phones are off by
#: 1 to 1.5 times what they state (with 1.5, and more doubt of what is white, .99 and more of the situations were inside).
#: What is seen where it stays counts against so many times of that.  Who says that it is off by DOUBTED_M, m, or more does
#: not boast.
DOUBT, DOUBTED_M, UNSAID_PRIOR = 1.25, 20.0, 2.0
#: What it is believed to be off by beyond so many times the variance that it states is not understood (two sources that differ
#: look like white errors), and lasts.
UNKNOWN = 1.6
#: A receiver that states less than was found of so many of its fixes is believed to be that much worse, as a variance at most;
#: with so much leeway, for what is found of so few is not known better (without it .985 were inside over the situations).
BOASTS_COUNT, BOASTS_MOST, BOASTS_LEEWAY = 10.0, 9.0, 0.95
#: Where its errors do not last no floor holds what is missing, and what is found is too little: a filter that is wider than the
#: motion goes with each error, and residual² + P comes to 0.75 of R where P is 0.4 of it.
BOASTS_WHITE = 1.1
#: ``step``: the share of a fix's variance that lasts for minutes: no number of fixes takes it away.
LASTING = 1.0
#: Of a receiver that states its sigma it is learnt whether its errors last (``whiter``).  Up to this mean all of the variance
#: is taken to last (where errors do it is .05 to .25), from this one on only so much; of white ones it is 1 - 1/e, of receivers
#: that are believed to be a little worse than they are found as .48 to .56.
WHITE_LEAST, WHITE_MOST, WHITE_FLOOR = 0.36, 0.5, 0.05
#: The mean is of about so many fixes, and is taken to have begun with so many of errors that last.  Fixes further apart than
#: this, s, say nothing of it.
WHITE_MEMORY, WHITE_PRIOR, WHITE_S = 80.0, 2.0, 150.0
#: Of fixes no further apart than this, s, of what goes at this speed and more, m/s, what two residuals differ by is the
#: receiver's, and what they share the way's (a launch of .5 g and more was believed to have a receiver three times as bad as it
#: states, and followed 20 to 40 m behind).
DIFFERS_S, DIFFERS_MPS = 10.0, 3.0
#: ``lagged``: what residuals of what goes have in common with the one before is the mean of about so many, none of which counts
#: for more than so many variances; the ellipse holds so much of it, less a part of a fix's variance (as much as white errors
#: have in common by chance).
LAG_MEMORY, LAG_STEP, LAG_HELD, LAG_CHANCE = 20.0, 9.0, 1.25, 0.1
#: Where something stays is the mean of about so long, s.
STAY_S = 14_400.0
#: Where it began to stay is the mean of where it was seen for so long from then on, s.
SPOT_S = 300.0
#: Before it stayed for so long, s, it may go slowly, and nothing is learnt of its errors.
STOOD_S = 120.0
#: One fix in so many is false, and lies about so far off (m, heavy-tailed); no false one is denser anywhere.
FALSE, FALSE_SCALE_M = 1e-2, 500.0
OUTLIER_MOST = math.log(FALSE / (2.0 * math.pi)) - 2.0 * math.log(FALSE_SCALE_M)
#: ``onward``: what happens in less than so long between two fixes, s, is the motions' own.  A leg on which it was foretold to
#: within so much of its length was one more of the same way; the older ones count so much for each newer one.
LEG_S, LEG_MISS, LEG_KEEP = 45.0, 0.6, 0.9
#: Slower than this, m/s, it drifts or swings, and stays; what goes within 37 degrees of its way (cosine) goes the same way.
LEG_MPS, LEG_ALONG = 0.3, 0.8
#: After so long a stay, s, its first leg says how far it went, and not how fast: nobody saw when it left (``setoff``).
LONG_S = 60.0
#: By how much of its length a leg is missed, squared, is the mean of about so many, and taken to begin with this.
LEG_MEMORY, LEG_MISS2 = 5.0, 0.04
#: ``reach``: how fast it goes, squared, is the most that was seen, and nears what is slower by so much a fix at most, within
#: about so long under way, s.  One fix brings so many times that and so much more at most, (m/s)²: it may be a false one's;
#: but not one that is so far from the one before, m: no false one is used that lies there.
FAST_KEEP, FAST_S, FASTER, FASTER_V2, FASTER_M = 1.0 / 30.0, 1800.0, 4.0, 100.0, 10.0 * FALSE_SCALE_M
#: It goes where its filter has it that this is more than its variance and so much, (m/s)².
UNDER_WAY_V2 = 0.64
#: What leaves a place leaves it at any moment alike; so much of that the region holds.
LEAVES_SHARE = 0.95
#: ``anchor``: a state this far from its anchor (per axis) gets a new one.
REANCHOR_M = 20_000.0
#: Further from the anchor than this, in degrees of latitude along each axis, a position is not asked of ``follow``.
NEAR_DEG = 0.5
#: ``follow``: its flags, and its answer.
STATED, SIDES, SAME = 1, 2, 4
USED, CHANGED, LEFT, FIRST = 1, 2, 4, 8
#: What a track has behind the numbers of ``step``, from where on each: the anchor, the bias, where it stays and for how long
#: (8), its device's noise (6), the two sides (10), where it is on Earth (lat_deg, lon_deg and a ``State`` there: 16), the same
#: as its row says it (16), whether its receiver's errors last and the filter lags (5), and whether it goes on between seldom
#: fixes (7).
ANCHOR, NOISE, TWO, PLACE, SHOWN, WHITE, WAY, FOLLOWED = 0, 8, 14, 26, 42, 58, 63, 70
#: ``squeeze``: numbers before those of the motions, and how the first tells how many they are beside which of them are awake.
HEAD, MOTIONS = 35, 65_536
#: ``onward``: the squared distance, of P, at which what an ellipse is to hold lies at most: that of the 90 % ellipse.
HELD_NIS = 4.605
#: A place that is to lie on the edge of the 95 % ellipse is held at so much of its distance.
ON_EDGE = math.sqrt(HELD_NIS / 5.991464547107979)
#: ``show``: what is foretold to be further from its anchor than this, per axis, is not asked of it.
FAR_M = 2_000_000.0
#: ``place_all``: nor is this, whose corner lies within the horizon of the frame.
HORIZON_M = 4_400_000.0
#: Where the elements of P (4, 4) stand behind a motion's chance.
_P = np.array([[5, 6, 7, 8], [6, 9, 10, 11], [7, 10, 12, 13], [8, 11, 13, 14]])
_LOG_2PI = math.log(2.0 * math.pi)


def _coefficients(dt_s, q, tau_s):
    """As ``engine.coefficients``; a copy, for what Numba keeps is made anew when this file changes, and no other."""
    if tau_s == 0.0:
        return 1.0, dt_s, q * dt_s * dt_s * dt_s / 3.0, q * dt_s * dt_s / 2.0, q * dt_s
    u = dt_s / tau_s
    d = -math.expm1(-u)
    if u < 0.02:
        q11 = q * dt_s * dt_s * dt_s * (1.0 / 3.0 - u * (0.25 - u * (7.0 / 60.0 - u / 24.0)))
    else:
        q11 = q * tau_s * tau_s * tau_s * (u - 2.0 * d - 0.5 * math.expm1(-2.0 * u))
    return 1.0 - d, tau_s * d, q11, q * tau_s * tau_s * d * d / 2.0, -q * tau_s * math.expm1(-2.0 * u) / 2.0


def _ahead(bank, out, work, dt_s, awake_from, table, brought, modes):
    """Exchange between the motions and each one's prediction, from bank into out.

    A row of ``LANES`` numbers of ``work`` is one sum of all motions that are gone to, so that a loop along them has several at
    once: the moments as in ``e .. pvv`` below (14), and of each motion that is gone to its chance, what of that is of those
    awake, and the kick.
    """
    m = modes.shape[0]
    likely = 0
    for i in range(m):
        if bank[WIDTH * i + 5] >= 0.0 and (bank[WIDTH * likely + 5] < 0.0 or bank[WIDTH * i] > bank[WIDTH * likely]):
            likely = i
    # moments about the likeliest, so that no digits are lost to the frame's far origin
    k = WIDTH * likely
    e0, ve0, n0, vn0 = bank[k + 1], bank[k + 2], bank[k + 3], bank[k + 4]
    for k in range(19 * LANES):
        work[k] = 0.0
    for i in range(m):
        k = WIDTH * i
        mu = bank[k]
        for j in range(m):
            work[17 * LANES + j] = table[i, j] * mu
        for j in range(LANES):
            work[14 * LANES + j] += work[17 * LANES + j]
        if bank[k + 5] < 0.0:
            continue
        for j in range(m):
            work[18 * LANES + j] = brought[i, j]
        e, ve, n, vn = bank[k + 1] - e0, bank[k + 2] - ve0, bank[k + 3] - n0, bank[k + 4] - vn0
        p00 = bank[k + 5] + e * e
        p01 = bank[k + 6] + e * ve
        p02 = bank[k + 7] + e * n
        p03 = bank[k + 8] + e * vn
        p11 = bank[k + 9] + ve * ve
        p12 = bank[k + 10] + ve * n
        p13 = bank[k + 11] + ve * vn
        p22 = bank[k + 12] + n * n
        p23 = bank[k + 13] + n * vn
        p33 = bank[k + 14] + vn * vn
        for j in range(LANES):
            w = work[17 * LANES + j]
            work[j] += w * e
            work[LANES + j] += w * ve
            work[2 * LANES + j] += w * n
            work[3 * LANES + j] += w * vn
            work[4 * LANES + j] += w * p00
            work[5 * LANES + j] += w * p01
            work[6 * LANES + j] += w * p02
            work[7 * LANES + j] += w * p03
            work[8 * LANES + j] += w * p11
            work[9 * LANES + j] += w * p12
            work[10 * LANES + j] += w * p13
            work[11 * LANES + j] += w * p22
            work[12 * LANES + j] += w * p23
            work[13 * LANES + j] += w * p33
            work[15 * LANES + j] += w
            work[16 * LANES + j] += w * work[18 * LANES + j]
    total = 0.0
    for j in range(m):
        total += work[14 * LANES + j]
    for j in range(m):
        chance = work[14 * LANES + j]
        k = WIDTH * j
        out[k] = chance / total
        if chance < awake_from:
            for r in range(1, WIDTH):
                out[k + r] = 0.0
            out[k + 5] = ASLEEP
            continue
        w = max(work[15 * LANES + j], 1e-300)
        kick = work[16 * LANES + j] / w
        e, ve, n, vn = work[j] / w, work[LANES + j] / w, work[2 * LANES + j] / w, work[3 * LANES + j] / w
        p00 = work[4 * LANES + j] / w - e * e
        p01 = work[5 * LANES + j] / w - e * ve
        p02 = work[6 * LANES + j] / w - e * n
        p03 = work[7 * LANES + j] / w - e * vn
        p11 = work[8 * LANES + j] / w - ve * ve + kick
        p12 = work[9 * LANES + j] / w - ve * n
        p13 = work[10 * LANES + j] / w - ve * vn
        p22 = work[11 * LANES + j] / w - n * n
        p23 = work[12 * LANES + j] / w - n * vn
        p33 = work[13 * LANES + j] / w - vn * vn + kick
        e, ve, n, vn = e + e0, ve + ve0, n + n0, vn + vn0
        if modes[j, 2] > 0.0:
            walk = modes[j, 2] * dt_s
            for r in range(1, WIDTH):
                out[k + r] = 0.0
            out[k + 1] = e
            out[k + 3] = n
            out[k + 5] = p00 + walk
            out[k + 7] = p02
            out[k + 12] = p22 + walk
            out[k + 9] = out[k + 14] = STILL
        else:
            if modes[j, 3] != dt_s:
                modes[j, 4], modes[j, 5], modes[j, 6], modes[j, 7], modes[j, 8] = _coefficients(dt_s, modes[j, 0], modes[j, 1])
                modes[j, 3] = dt_s
            f, g, q11, q12, q22 = modes[j, 4], modes[j, 5], modes[j, 6], modes[j, 7], modes[j, 8]
            # F P Fᵀ, its upper triangle: e' = e + g ve, ve' = f ve in rows, then in columns
            p00, p01, p02, p03 = p00 + g * p01, p01 + g * p11, p02 + g * p12, p03 + g * p13
            p11, p12, p13 = p11 * f, p12 * f, p13 * f
            p22, p23, p33 = p22 + g * p23, p23 + g * p33, p33 * f
            out[k + 1] = e + g * ve
            out[k + 2] = ve * f
            out[k + 3] = n + g * vn
            out[k + 4] = vn * f
            out[k + 5] = p00 + g * p01 + q11
            out[k + 6] = p01 * f + q12
            out[k + 7] = p02 + g * p03
            out[k + 8] = p03 * f
            out[k + 9] = p11 * f + q22
            out[k + 10] = p12 + g * p13
            out[k + 11] = p13 * f
            out[k + 12] = p22 + g * p23 + q11
            out[k + 13] = p23 * f + q12
            out[k + 14] = p33 * f + q22


def _least(out, m, h, z0, z1, r00, r01, r11):
    """The smallest NIS of a measurement among the awake motions.  h: 0 of a position, 1 of a velocity."""
    g = h + 2
    least = math.inf
    for j in range(m):
        k = WIDTH * j
        if out[k + 5] >= 0.0:
            s00 = out[k + _P[h, h]] + r00
            s01 = out[k + _P[h, g]] + r01
            s11 = out[k + _P[g, g]] + r11
            y0 = z0 - out[k + 1 + h]
            y1 = z1 - out[k + 1 + g]
            least = min(least, (s11 * y0 * y0 - 2.0 * s01 * y0 * y1 + s00 * y1 * y1) / (s00 * s11 - s01 * s01))
    return least


def _measured(out, work, m, h, z0, z1, r00, r01, r11):
    """Every awake motion after a measurement, in place (Joseph's form), and their chances against each other.

    Returns the log density of the measurement under the mixture before it.
    """
    g = h + 2
    top = -math.inf
    left_over = 1.0
    for j in range(m):
        k = WIDTH * j
        if out[k + 5] < 0.0:
            left_over -= out[k]
            continue
        p00, p01, p02, p03 = out[k + 5], out[k + 6], out[k + 7], out[k + 8]
        p11, p12, p13 = out[k + 9], out[k + 10], out[k + 11]
        p22, p23, p33 = out[k + 12], out[k + 13], out[k + 14]
        # the columns of P that are measured
        if h == 0:
            a0, a1, a2, a3 = p00, p01, p02, p03
            b0, b1, b2, b3 = p02, p12, p22, p23
            aa, ab, bb = p00, p02, p22
        else:
            a0, a1, a2, a3 = p01, p11, p12, p13
            b0, b1, b2, b3 = p03, p13, p23, p33
            aa, ab, bb = p11, p13, p33
        s00 = aa + r00
        s01 = ab + r01
        s11 = bb + r11
        y0 = z0 - out[k + 1 + h]
        y1 = z1 - out[k + 1 + g]
        det = s00 * s11 - s01 * s01
        nis = (s11 * y0 * y0 - 2.0 * s01 * y0 * y1 + s00 * y1 * y1) / det
        log = math.log(max(out[k], 1e-300)) - 0.5 * (nis + math.log(det))
        work[j] = log
        top = max(top, log)
        # K = P Hᵀ S⁻¹: its columns c and d
        c0, d0 = (a0 * s11 - b0 * s01) / det, (b0 * s00 - a0 * s01) / det
        c1, d1 = (a1 * s11 - b1 * s01) / det, (b1 * s00 - a1 * s01) / det
        c2, d2 = (a2 * s11 - b2 * s01) / det, (b2 * s00 - a2 * s01) / det
        c3, d3 = (a3 * s11 - b3 * s01) / det, (b3 * s00 - a3 * s01) / det
        out[k + 1] += c0 * y0 + d0 * y1
        out[k + 2] += c1 * y0 + d1 * y1
        out[k + 3] += c2 * y0 + d2 * y1
        out[k + 4] += c3 * y0 + d3 * y1
        # M = (I - K H) P, of it the same columns u and v; then M (I - K H)ᵀ + K R Kᵀ
        u0, v0 = a0 - c0 * aa - d0 * ab, b0 - c0 * ab - d0 * bb
        u1, v1 = a1 - c1 * aa - d1 * ab, b1 - c1 * ab - d1 * bb
        u2, v2 = a2 - c2 * aa - d2 * ab, b2 - c2 * ab - d2 * bb
        u3, v3 = a3 - c3 * aa - d3 * ab, b3 - c3 * ab - d3 * bb
        n0, o0 = c0 * r00 + d0 * r01, c0 * r01 + d0 * r11
        n1, o1 = c1 * r00 + d1 * r01, c1 * r01 + d1 * r11
        n2, o2 = c2 * r00 + d2 * r01, c2 * r01 + d2 * r11
        n3, o3 = c3 * r00 + d3 * r01, c3 * r01 + d3 * r11
        out[k + 5] = (p00 - c0 * a0 - d0 * b0) - u0 * c0 - v0 * d0 + (n0 * c0 + o0 * d0)
        out[k + 6] = (p01 - c0 * a1 - d0 * b1) - u0 * c1 - v0 * d1 + (n0 * c1 + o0 * d1)
        out[k + 7] = (p02 - c0 * a2 - d0 * b2) - u0 * c2 - v0 * d2 + (n0 * c2 + o0 * d2)
        out[k + 8] = (p03 - c0 * a3 - d0 * b3) - u0 * c3 - v0 * d3 + (n0 * c3 + o0 * d3)
        out[k + 9] = (p11 - c1 * a1 - d1 * b1) - u1 * c1 - v1 * d1 + (n1 * c1 + o1 * d1)
        out[k + 10] = (p12 - c1 * a2 - d1 * b2) - u1 * c2 - v1 * d2 + (n1 * c2 + o1 * d2)
        out[k + 11] = (p13 - c1 * a3 - d1 * b3) - u1 * c3 - v1 * d3 + (n1 * c3 + o1 * d3)
        out[k + 12] = (p22 - c2 * a2 - d2 * b2) - u2 * c2 - v2 * d2 + (n2 * c2 + o2 * d2)
        out[k + 13] = (p23 - c2 * a3 - d2 * b3) - u2 * c3 - v2 * d3 + (n2 * c3 + o2 * d3)
        out[k + 14] = (p33 - c3 * a3 - d3 * b3) - u3 * c3 - v3 * d3 + (n3 * c3 + o3 * d3)
    total = 0.0
    for j in range(m):
        if out[WIDTH * j + 5] >= 0.0:
            work[j] = math.exp(work[j] - top)
            total += work[j]
    for j in range(m):
        if out[WIDTH * j + 5] >= 0.0:
            out[WIDTH * j] = work[j] * left_over / total
    return top + math.log(total) - _LOG_2PI


def _gaussian(out, m, to):
    """One Gaussian of the mixture about its likely point, into 14 numbers of out from ``to`` on (``motion.moments``)."""
    likely = 0.0
    for j in range(m):
        if out[WIDTH * j + 5] >= 0.0:
            likely = max(likely, out[WIDTH * j])
    least_chance = min(RARE, likely)
    for n in range(14):
        out[to + n] = 0.0
    total = 0.0
    least = math.inf
    for j in range(m):
        k = WIDTH * j
        if out[k] >= least_chance and out[k + 5] >= 0.0:
            total += out[k]
            least = min(least, out[k + 5] + out[k + 12])
            for a in range(4):
                out[to + a] += out[k] * out[k + 1 + a]
    for a in range(4):
        out[to + a] /= total
    e = out[to]
    n_ = out[to + 2]
    far = 0.0
    for j in range(m):
        k = WIDTH * j
        if out[k] >= least_chance and out[k + 5] >= 0.0:
            far = max(far, (out[k + 1] - e) ** 2 + (out[k + 3] - n_) ** 2)
    # where the modes agree the mean is the point: nothing to search for
    if far > 1e-2 * least:
        near = 1e-2 * math.sqrt(least)
        for _ in range(20):
            weight = 0.0
            se = 0.0
            sn = 0.0
            for j in range(m):
                k = WIDTH * j
                if out[k] >= least_chance and out[k + 5] >= 0.0:
                    d = (out[k + 1] - e) ** 2 + (out[k + 3] - n_) ** 2 + out[k + 5] + out[k + 12]
                    w = out[k] / (math.sqrt(d) * math.sqrt(math.sqrt(math.sqrt(d))))  # d to the power of 5/8
                    weight += w
                    se += w * out[k + 1]
                    sn += w * out[k + 3]
            moved = abs(se / weight - e) + abs(sn / weight - n_)
            e = se / weight
            n_ = sn / weight
            if moved < near:
                break
        out[to] = e
        out[to + 2] = n_
    for j in range(m):
        k = WIDTH * j
        if out[k] >= least_chance and out[k + 5] >= 0.0:
            w = out[k] / total
            n = 4
            for a in range(4):
                for b in range(a, 4):
                    out[to + n] += w * (out[k + 1 + n] + (out[k + 1 + a] - out[to + a]) * (out[k + 1 + b] - out[to + b]))
                    n += 1


def _stepped(bank, out, work, what, dt_s, awake_from, table, brought, modes, z0, z1, r00, r01, r11, v0, v1, r_v, gate):
    """``step`` into an array."""
    m = modes.shape[0]
    at = WIDTH * m
    if what & AHEAD:
        _ahead(bank, out, work, dt_s, awake_from, table, brought, modes)
    else:
        for k in range(at):
            out[k] = bank[k]
    for n in range(3):
        out[at + 14 + n] = 0.0
    for h in range(2):  # one call in the source: Numba compiles what it calls for each
        if what & (POSITION, VELOCITY)[h]:
            y0, y1, s00, s01, s11 = (z0, z1, r00, r01, r11) if h == 0 else (v0, v1, r_v, 0.0, r_v)
            nis = _least(out, m, h, y0, y1, s00, s01, s11)
            if h == 0 and nis > SURPRISE and what & AHEAD:
                _ahead(bank, out, work, dt_s, 0.0, table, brought, modes)
                nis = _least(out, m, h, y0, y1, s00, s01, s11)
            log = _measured(out, work, m, h, y0, y1, s00, s01, s11) if h == 0 or nis <= gate else 0.0
            if h == 0:
                out[at + 14] = nis
                out[at + 15] = log
            else:
                out[at + 16] = nis
    _gaussian(out, m, at)


def step(bank, what, dt_s, awake_from, table, brought, modes, z0, z1, r00, r01, r11, v0, v1, r_v, gate):
    """A bank after what is asked of it, in one array: the bank, its Gaussian (14), NIS and log density of what was measured,
    NIS of the velocity.

    Args:
        bank: 15 M numbers.
        awake_from: ``AWAKE``.
        what: AHEAD by dt_s, then a measured POSITION (z0, z1) with R, then a VELOCITY (v0, v1) of variance r_v per axis that
            is left out where its NIS is over ``gate``.
        table: (M, M), row i the chances of going from i to each; brought: likewise, the variance of the velocity, (m/s)² per
            axis, that comes with it; modes: (M, 9), q, tau_s and walk, and behind them the time for which it was asked last
            with what ``_coefficients`` said, which is kept here: most devices report at an even pace.
    """
    out = np.empty(WIDTH * modes.shape[0] + TAIL)
    # of a type with the rows of ``follow``, so that what both call is compiled once
    own = bank.copy()
    _stepped(own, out, np.empty(WORK), what, dt_s, awake_from, table, brought, modes, z0, z1, r00, r01, r11, v0, v1, r_v, gate)
    return out


# --- one fix of a track ------------------------------------------------------------------------------------


def turn(lat1_deg: float, lon1_deg: float, lat2_deg: float, lon2_deg: float) -> tuple[float, float]:
    """(cos, sin) that carry east/north components at place 1 to those at place 2.

    new east = cos·e + sin·n, new north = -sin·e + cos·n.  The angle is that of the best rotation between the
    two tangent planes (polar decomposition of the 2 × 2 matrix of scalar products of their axes).
    """
    if lat1_deg == lat2_deg and lon1_deg == lon2_deg:
        return 1.0, 0.0
    p1 = math.radians(lat1_deg)
    p2 = math.radians(lat2_deg)
    d = math.radians(lon2_deg - lon1_deg)
    s1 = math.sin(p1)
    s2 = math.sin(p2)
    sd = math.sin(d)
    cd = math.cos(d)
    # E2·E1, E2·N1, N2·E1, N2·N1 in Earth-centred axes
    en = s1 * sd
    ne = -s2 * sd
    nn = s2 * s1 * cd + math.cos(p2) * math.cos(p1)
    size = math.hypot(cd + nn, en - ne)
    if size > 0.0:
        return (cd + nn) / size, (en - ne) / size
    return 1.0, 0.0


def rotated(r_ee: float, r_en: float, r_nn: float, c: float, s: float) -> tuple[float, float, float]:
    """A 2 × 2 covariance in axes turned by ``turn``."""
    a = c * r_ee + s * r_en
    b = c * r_en + s * r_nn
    d = -s * r_ee + c * r_en
    f = -s * r_en + c * r_nn
    return c * a + s * b, -s * a + c * b, -s * d + c * f


def is_torn(count: float, sure: float, apart_m: float, r: float) -> bool:
    """``sides.Sides.torn``; r: the variances per axis of both places."""
    apart = APART_LEAST_M < apart_m <= APART_MOST_M and apart_m * apart_m >= APART_NIS * r
    return count >= TURNS and sure >= TORN and apart


def unseen(dt_s: float, goes_s: float, side_s: float, stops_s: float) -> float:
    """How much less likely than by two sources it is that what goes to and fro was seen on one side and then on the other: the
    log of the odds.

    Args:
        goes_s: for so long it is at neither; side_s: since it changed sides before; stops_s: for so long it stops.
    """
    chance = max(1.0 - goes_s / dt_s, CHANCE_LEAST) if dt_s > 0.0 else CHANCE_LEAST
    return -math.log(chance) - math.log(max(1.0 - math.exp(-side_s / stops_s), CHANCE_LEAST))


def hidden(dt_s: float, goes_m: float, every_s: float, even: float) -> float:
    """How much less likely than by two sources it is that what says nothing on its way was on it from one fix to the next: the
    log of the odds.

    Args:
        every_s, even: how long it usually is from one report to the next, 0 where that is not known; the share of those that
            come no later.
    """
    goes_s = 2.0 * math.sqrt(goes_m / HIDDEN_MPS2)
    if dt_s < HIDDEN_LEAST * goes_s:
        return CHANGE_MOST
    if every_s <= 0.0:
        return 0.0
    chance = min(max(1.0 - goes_s / every_s, CHANCE_LEAST), HIDDEN_MOST)
    if dt_s <= every_s + max(LATER * every_s, LATER_S):
        return min(math.log(even / chance), CHANGE_MOST)
    return min(math.log((1.0 - even) / (1.0 - chance)), 0.0)


def usually(dt_s: float, every_s: float, even: float) -> tuple[float, float]:
    """How long it usually is from one report to the next, and the share of those that come no later, after one more."""
    if every_s <= 0.0:
        return dt_s, even
    even += EVEN_GAIN * ((1.0 if dt_s <= every_s + max(LATER * every_s, LATER_S) else 0.0) - even)
    every_s += min(max(dt_s - every_s, -SHORTER * every_s), LONGER * every_s)
    return every_s, min(max(even, EVEN_LEAST), EVEN_MOST)


def sided(
    dt_s: float, side_s: float, e: float, n: float, r: float, speed: float, here_e: float, here_n: float, here_r: float,
    other_e: float, other_n: float, other_r: float, count: float, sure: float, quick: float, off: float, every_s: float,
    even: float,
) -> tuple[int, float, float, float, float, float, float, float, float, float, float, float, float]:  # fmt: skip
    """The two sides after one more fix, as ``sides.after``: 1 where it changed sides and 2 where that is a first time, e, n and
    the variance of both, how often it changed, how sure it is that this is no journey, how many fixes are at neither, and
    ``usually``.

    Args:
        dt_s: since the fix before; side_s: since it changed sides.
        r: the variance per axis that the fix states; speed: that it states, m/s, else 0.
        here_r, other_r: of the places; that of the other one is below 0 where there is none.
    """
    r += FIX_LEAST
    here_nis = ((e - here_e) ** 2 + (n - here_n) ** 2) / (r + here_r)
    other_nis = math.inf
    apart_e = apart_n = apart = 0.0
    if other_r >= 0.0:
        other_nis = ((e - other_e) ** 2 + (n - other_n) ** 2) / (r + other_r)
        apart_e = other_e - here_e
        apart_n = other_n - here_n
        apart = math.hypot(apart_e, apart_n)
    if min(here_nis, other_nis) > (BEYOND_TORN if count > 0.0 else BEYOND):
        sure -= MID_MOST
        against = max(quick - MID_MOST, QUICK_LEAST)
        if sure > 0.0 and off < OFF:
            return 0, here_e, here_n, here_r, other_e, other_n, other_r, count, sure, against, off + 1.0, every_s, even
        if min(math.hypot(e - here_e, n - here_n), math.hypot(e - other_e, n - other_n)) >= NEAR_SHARE * apart:
            against = FORGETS * quick
        return 3, e, n, r, here_e, here_n, here_r, 0.0, 0.0, min(against, 0.0), 0.0, every_s, even
    change = other_nis < here_nis
    torn = is_torn(count, sure, apart, here_r + other_r)
    first = side_s > (max(ALONE_S, min(10.0 * dt_s, 2.0 * ALONE_S)) if torn else max(PAUSE_S, min(4.0 * dt_s, 2.0 * PAUSE_S)))
    if first:
        count = sure = quick = 0.0
    stops = 0.0
    if other_r >= 0.0 and apart > 0.0:
        # how far it lies from its side towards the other one: what goes to and fro is seen on its way
        inward = ((e - here_e) * apart_e + (n - here_n) * apart_n) / apart
        width2 = r + here_r
        if change:
            inward = apart - inward
            width2 = r + other_r
        inward = max(inward, 0.0)
        on_way = 2.0 * math.sqrt(2.0 * math.pi * width2) / apart * math.exp(min(inward * inward / (2.0 * width2), 50.0))
        stops = min(max(-math.log(1.0 - STOPS_WAY + STOPS_WAY * on_way), -MID_MOST), 0.0)
        hardly = max(-math.log(1.0 - HARDLY_WAY + HARDLY_WAY * on_way), -MID_MOST)
        unheard = stops
        if speed > GOES_MPS:
            stops -= GOES
            hardly = unheard = min(hardly, 0.0) - GOES
        elif change and here_nis > BEYOND:
            count += 1.0
            goes = max(apart - 3.0 * math.sqrt(width2), 0.0)
            says = unseen(dt_s, goes / math.sqrt(STOPS_MPS2 * apart), side_s, STOPS_S)
            sure += min(min(here_nis / 2.0 + math.log(0.5), says), CHANGE_MOST)
            hardly += unseen(dt_s, goes / HARDLY_MPS, side_s, HARDLY_S)
            unheard += hidden(dt_s, goes, every_s, even)
        sure += stops
        quick += min(hardly, unheard)
        if sure <= 0.0:
            first = first or count > 0.0
            count = sure = 0.0
        quick = min(max(quick, QUICK_LEAST), TORN_MOST if count > 0.0 else 0.0)
        sure = min(sure, TORN_MOST)
    if dt_s > 0.0 and (not change or side_s <= 1.01 * dt_s):  # a change may have been a journey
        every_s, even = usually(dt_s, every_s, even)
    if change:
        here_e, other_e = other_e, here_e
        here_n, other_n = other_n, here_n
        here_r, other_r = other_r, here_r
    gain = math.exp(stops) * here_r / (here_r + r)  # what is on its way is at neither
    here_e += gain * (e - here_e)
    here_n += gain * (n - here_n)
    here_r = max((1.0 - gain) * here_r, min(PLACE_LEAST * r, here_r))
    did = (1 if change else 0) + (2 if first else 0)
    return did, here_e, here_n, here_r, other_e, other_n, other_r, count, sure, quick, 0.0, every_s, even


def mean_of(count: float, r: float, found: float, base: float) -> tuple[float, float]:
    """A running mean of variances and its weight, bounded about the class's."""
    count = min(count + 1.0, NOISE_MEMORY)
    r += (min(found, NOISE_STEP * r) - r) / count
    return count, min(max(r, NOISE_LEAST * NOISE_LEAST * base), NOISE_MOST * NOISE_MOST * base)


def found_of(count: float, r: float, this: float, said: float) -> tuple[float, float]:
    """``mean_of`` of what was found of a device's fixes.  What is found of one that states its sigma begins with its class's,
    but not with more than twice the sigma that it states: a parcel's 15 m made a boaster of each good receiver for good.

    Args:
        this: what this fix says; said: the variance that it states, else its class's.
    """
    return mean_of(count, r if count > NOISE_PRIOR else min(r, SAID_MOST * said), this, said)


def not_of_the_way(
    found: float, e: float, n: float, y_e: float, y_n: float, p: float, said: float, speed2: float
) -> float:
    """Of what was found of a fix (``found_of``) that of its receiver, not of a filter that lags behind what turns.

    A residual that is much the same as the one before is the way's, where it goes; of white errors the differences have
    2 (R - P) each way, so that either says R.  What stands has no way, and what is the same there is the receiver's.

    Args:
        e, n: the residual; y_e, y_n: that of the fix before; p: P after it, of both axes, m²; said: as ``found_of`` has it.
        speed2: how fast it goes, squared.
    """
    if speed2 <= DIFFERS_MPS * DIFFERS_MPS:
        return found
    de = e - y_e
    dn = n - y_n
    return min(found, max((de * de + dn * dn) / 4.0 + p / 2.0, said))


def lasts(count_l: float, r_l: float, base: float) -> float:
    """The variance per axis of what lasts of the errors of a device that states none, m²; base: its class's variance."""
    r = max(LASTING_M * LASTING_M, LASTING_SHARE * base)
    if count_l > 0.0:
        r = (LASTING_PRIOR * r + count_l * r_l) / (LASTING_PRIOR + count_l)
        return min(max(r, LASTING_M * LASTING_M), NOISE_MOST * NOISE_MOST * base)
    return r


def unsaid(count_l: float, r_l: float, r: float, said: float, share: float) -> float:
    """The variance per axis of what lasts of the errors of a device that states them: no less than a share of somewhat more
    than it says, and where it stayed as much as was seen.

    Args:
        r: the variance that it is believed to have; said: that which it states; share: ``lasting_share``.
    """
    doubt = DOUBT - 1.0 if said < DOUBTED_M * DOUBTED_M else 0.0
    least = share * max(r, (1.0 + share * doubt) * said) + (1.0 - share) * max(r - UNKNOWN * said, 0.0)
    return max(least, min((UNSAID_PRIOR * least + count_l * r_l) / (UNSAID_PRIOR + count_l), BOASTS_MOST * r))


def boasts(count: float, r: float, r_ee: float, r_nn: float, share: float) -> float:
    """How many times the variance that a receiver states its fixes have, by what was found of so many; 1 of a modest one.

    Args:
        share: ``lasting_share`` of its errors.
    """
    leeway = share * BOASTS_LEEWAY + (1.0 - share) * BOASTS_WHITE
    return min(max(leeway * 2.0 * r / (r_ee + r_nn), 1.0), BOASTS_MOST) if count >= BOASTS_COUNT else 1.0


def whiter(
    white: float, white_n: float, y_e: float, y_n: float, e: float, n: float, gain: float, r: float
) -> tuple[float, float]:
    """What one more residual says of how long errors last: the sums of min(u, 1) and of their weights.

    The differences of residuals one after the other have (1 - gain) R each way where errors are white and the filter is right,
    and little where an error is the next fix's too: whether the thing stands (the residual is nearly the error) or goes (it
    goes with the error).  A fix with a gain near 1 says nothing.

    Args:
        y_e, y_n: the residual of the fix before; e, n: that of this one, after the update.
        gain: P after it over R; r: R per axis, m².
    """
    weight = 1.0 - gain
    if weight < 0.05:
        return white, white_n
    de = e - y_e
    dn = n - y_n
    keep = 1.0 - weight / WHITE_MEMORY
    return keep * white + weight * min((de * de + dn * dn) / (4.0 * weight * r), 1.0), keep * white_n + weight


def lasting_share(white: float, white_n: float) -> float:
    """The share of the variance of a receiver's errors that is taken to last, by what ``whiter`` found."""
    mean = white / (white_n + WHITE_PRIOR)
    return min(max((WHITE_MOST - mean) / (WHITE_MOST - WHITE_LEAST), WHITE_FLOOR), 1.0)


def lagged(
    lag: float, dt_s: float, e: float, n: float, y_e: float, y_n: float, ve: float, vn: float, was_e: float, was_n: float,
    r: float,
) -> float:  # fmt: skip
    """How far a filter is off that lags behind what goes, m² per axis: what its residual has in common with the one before.

    Of a filter that is right residuals have nothing in common.  In a turn that no motion of the bank has, or where a stated
    speed is half a second ahead, all of them are to one side: then it is off by as much, whatever its own P says.

    Args:
        dt_s: since the fix before.
        e, n: the residual, after the update; y_e, y_n: that of the fix before, which is turned as the course has turned since.
        ve, vn: how fast it goes; was_e, was_n: at the fix before; r: R per axis, m².
    """
    if dt_s <= 0.0:
        return lag
    if dt_s > DIFFERS_S:
        return 0.0
    now2 = ve * ve + vn * vn
    was2 = was_e * was_e + was_n * was_n
    found = 0.0
    if min(now2, was2) > DIFFERS_MPS * DIFFERS_MPS:
        size = math.sqrt(now2 * was2)
        c = (ve * was_e + vn * was_n) / size
        s = (was_e * vn - was_n * ve) / size
        found = (e * (c * y_e - s * y_n) + n * (s * y_e + c * y_n)) / 2.0
        found = min(max(found, -LAG_STEP * r), LAG_STEP * r)
    return lag + (found - lag) / LAG_MEMORY


def wandered(count_l: float, r_l: float, dt_s: float, stood_s: float, away2: float) -> tuple[float, float]:
    """``learnt.wandered`` of one device's ``count_l`` and ``r_l``."""
    n = stood_s / LASTING_S
    dn = min(dt_s, LASTING_S) / LASTING_S
    # the mean of n values is itself off by a part of what one of them is
    weight = dn * n / (n + 1.0)
    count = min(count_l + weight, LASTING_MEMORY)
    return count, (r_l + (dn * away2 - weight * r_l) / count if count > 0.0 else 0.0)


def rested(
    e: float, n: float, widest: float, dt_s: float, spot_e: float, spot_n: float, stay_e: float, stay_n: float, stay_s: float
) -> tuple[bool, float, float, float, float, float, float]:
    """Where it stays after a used measurement: whether it left its spot, the spot, where it is on average, how long it stays,
    and the square of how far it lies from there, per axis, m².

    A spot is no better known than what was seen there, at first one fix: for ``SPOT_S`` it is the mean of that.

    Args:
        widest: the larger variance per axis of where it is, m².
    """
    fresh = stay_s < SPOT_S
    away = max(30.0, 3.0 * math.sqrt(2.0 * widest if fresh else widest))
    if math.hypot(e - spot_e, n - spot_n) > away:
        return True, e, n, e, n, 0.0, 0.0
    if dt_s <= 0.0:
        return False, spot_e, spot_n, stay_e, stay_n, stay_s, 0.0
    dt_s = min(dt_s, LASTING_S)
    stay_s = min(stay_s + dt_s, STAY_S)
    de = e - stay_e
    dn = n - stay_n
    share = dt_s / (stay_s + LASTING_S)
    if fresh:
        part = dt_s / (stay_s + dt_s)
        spot_e += part * (e - spot_e)
        spot_n += part * (n - spot_n)
    return False, spot_e, spot_n, stay_e + share * de, stay_n + share * dn, stay_s, (de * de + dn * dn) / 2.0


def faster(fast2: float, went2: float, dt_s: float, far: float) -> float:
    """How fast a thing goes, squared, after a fix by which it went at ``went2`` for so long; what stays says nothing of it.

    Args:
        far: how far the fix lies from the one before, m.
    """
    if went2 <= LEG_MPS * LEG_MPS:
        return fast2
    if went2 > fast2:
        return went2 if far >= FASTER_M else min(went2, FASTER * fast2 + FASTER_V2)
    return fast2 + min(dt_s / FAST_S, FAST_KEEP) * (went2 - fast2)


def going(way_e: float, way_n: float, sure: float, ve: float, vn: float, known2: float) -> tuple[float, float]:
    """How fast a thing went at its last fix, and which way; (0, 0) where it stood, or nobody knows.

    Args:
        ve, vn: as its filter has it; known2: the square of that, less its variance.  Of reports that are close to each other
            that is all there is.
    """
    return (ve, vn) if sure <= 0.0 and known2 >= UNDER_WAY_V2 else (way_e, way_n)


def reach_m(fast: float, stood_s: float, dt_s: float) -> float:
    """How far what stood has got within so long at such a speed: of all moments at which it may have left, ``LEAVES_SHARE``
    together with that it stands still (``dwell``: T / (T + t)); 0 where standing still alone has that.
    """
    if stood_s <= 0.0:
        return fast * dt_s
    return fast * max(LEAVES_SHARE * dt_s - (1.0 - LEAVES_SHARE) * stood_s, 0.0) * ON_EDGE


def gone_on(
    way_e: float, way_n: float, on_s: float, breaks: float, miss2: float, sure: float, fast2: float, left: bool, de: float,
    dn: float, dt_s: float, ve: float, vn: float, stood_s: float, known2: float,
) -> tuple[float, float, float, float, float, float, float]:  # fmt: skip
    """What one more leg between two fixes says of how a thing goes on (``onward``), and how it goes now.

    Args:
        sure: 1 where it is known to go so; less than 0, -dt_s, where this leg began within a lasting stay (``setoff``).
        fast2: how fast it was seen to go of late, squared (``faster``).
        left: whether it left its spot; de, dn: how far it went within dt_s.
        ve, vn: how fast it says that it goes now; vn NaN where it says nothing.
        stood_s: how long it had stayed before.
        known2: the square of the filter's speed, less its variance.
    """
    says = not math.isnan(vn)
    far = math.hypot(de, dn)
    went2 = ve * ve + vn * vn if says else known2 if dt_s < LEG_S else 0.0
    if left and dt_s >= LEG_S:
        went2 = max(went2, far * far / (dt_s * dt_s))
    fast2 = faster(fast2, went2, dt_s, far)
    off_now = left and not says and stood_s >= LONG_S and far >= LEG_MPS * dt_s > 0.0
    if dt_s < LEG_S:
        if off_now:
            return de / dt_s, dn / dt_s, on_s, breaks, miss2, -dt_s, fast2
        if sure < 0.0:
            way_e = way_n = 0.0
        if not says:  # of one fix soon after another nothing is new, of more the motions know better
            return way_e, way_n, on_s, breaks, miss2, max(sure - 0.5, 0.0), fast2
        most = max(math.hypot(way_e, way_n), math.hypot(ve, vn))
        if sure > 0.0 and math.hypot(ve - way_e, vn - way_n) <= LEG_MISS * most:
            return ve, vn, on_s, breaks, miss2, 1.0, fast2
        return ve, vn, on_s, breaks, miss2, 0.0, fast2
    went = way_e != 0.0 or way_n != 0.0
    if not left or far < LEG_MPS * dt_s:  # it stays
        return 0.0, 0.0, LEG_KEEP * on_s if went else on_s, LEG_KEEP * breaks + 1.0 if went else breaks, miss2, 0.0, fast2
    was = math.hypot(way_e, way_n) * dt_s
    miss = math.hypot(de - way_e * dt_s, dn - way_n * dt_s) / max(was, far)
    on = went and miss <= LEG_MISS
    # what sets off, or did so within the leg before, goes further the same way
    off = not on and (not went or (far > was and (way_e * de + way_n * dn) * dt_s > LEG_ALONG * far * was))
    same = on
    if says:
        now = math.hypot(de - ve * dt_s, dn - vn * dt_s) / max(math.hypot(ve, vn) * dt_s, far)
        same = now <= LEG_MISS
        if off and same:
            miss = now
    if on or (off and same):
        on_s = LEG_KEEP * on_s + dt_s
        breaks = LEG_KEEP * breaks + (0.0 if same else 1.0)
        miss2 += (miss * miss - miss2) / LEG_MEMORY
    elif not off:  # it stopped or turned on the way
        on_s *= LEG_KEEP
        breaks = LEG_KEEP * breaks + 1.0
    if not says:
        ve, vn = de / dt_s, dn / dt_s
    if off_now:
        return ve, vn, on_s, breaks, miss2, -dt_s, fast2
    return ve, vn, on_s, breaks, miss2, 1.0 if same else 0.0, fast2


def _en(lat0_deg: float, lon0_deg: float, lat_deg: float, lon_deg: float) -> tuple[float, float]:
    """As ``geo.LocalFrame.en``, of heights 0."""
    p0 = math.radians(lat0_deg)
    l0 = math.radians(lon0_deg)
    sp0 = math.sin(p0)
    cp0 = math.cos(p0)
    sl0 = math.sin(l0)
    cl0 = math.cos(l0)
    n0 = A_M / math.sqrt(1.0 - E2 * sp0 * sp0)
    p = math.radians(lat_deg)
    l = math.radians(lon_deg)
    sp = math.sin(p)
    cp = math.cos(p)
    n = A_M / math.sqrt(1.0 - E2 * sp * sp)
    dx = n * cp * math.cos(l) - n0 * cp0 * cl0
    dy = n * cp * math.sin(l) - n0 * cp0 * sl0
    dz = n * (1.0 - E2) * sp - n0 * (1.0 - E2) * sp0
    return -sl0 * dx + cl0 * dy, -sp0 * (cl0 * dx + sl0 * dy) + cp0 * dz


def _geodetic(lat0_deg: float, lon0_deg: float, e_m: float, n_m: float) -> tuple[float, float]:
    """As ``geo.LocalFrame.geodetic``; what lies beyond its horizon is not asked here."""
    p0 = math.radians(lat0_deg)
    l0 = math.radians(lon0_deg)
    sp = math.sin(p0)
    cp = math.cos(p0)
    sl = math.sin(l0)
    cl = math.cos(l0)
    n0 = A_M / math.sqrt(1.0 - E2 * sp * sp)
    bx = n0 * cp * cl - sl * e_m - sp * cl * n_m
    by = n0 * cp * sl + cl * e_m - sp * sl * n_m
    bz = n0 * (1.0 - E2) * sp + cp * n_m
    ux = cp * cl
    uy = cp * sl
    k = (A_M / B_M) ** 2
    qa = ux * ux + uy * uy + k * sp * sp
    qb = bx * ux + by * uy + k * bz * sp
    qc = bx * bx + by * by + k * bz * bz - A_M * A_M
    u = -qc / (qb + math.sqrt(qb * qb - qa * qc))
    x = bx + u * ux
    y = by + u * uy
    return math.degrees(math.atan2(bz + u * sp, (1.0 - E2) * math.sqrt(x * x + y * y))), math.degrees(math.atan2(y, x))


def _rotated(out, at, to, c, s):
    """As ``engine.rotated``, from 14 numbers of out into 14 others."""
    cc = c * c
    cs = c * s
    ss = s * s
    p00 = out[at + 4]
    p01 = out[at + 5]
    p02 = out[at + 6]
    p03 = out[at + 7]
    p11 = out[at + 8]
    p12 = out[at + 9]
    p13 = out[at + 10]
    p22 = out[at + 11]
    p23 = out[at + 12]
    p33 = out[at + 13]
    for a in range(2):
        out[to + a] = c * out[at + a] + s * out[at + 2 + a]
        out[to + 2 + a] = -s * out[at + a] + c * out[at + 2 + a]
    out[to + 4] = cc * p00 + 2.0 * cs * p02 + ss * p22
    out[to + 5] = cc * p01 + cs * (p03 + p12) + ss * p23
    out[to + 6] = cs * (p22 - p00) + (cc - ss) * p02
    out[to + 7] = cc * p03 + cs * (p23 - p01) - ss * p12
    out[to + 8] = cc * p11 + 2.0 * cs * p13 + ss * p33
    out[to + 9] = cc * p12 + cs * (p23 - p01) - ss * p03
    out[to + 10] = cs * (p33 - p11) + (cc - ss) * p13
    out[to + 11] = cc * p22 - 2.0 * cs * p02 + ss * p00
    out[to + 12] = cc * p23 - cs * (p03 + p12) + ss * p01
    out[to + 13] = cc * p33 - 2.0 * cs * p13 + ss * p11


def _told(row, at):
    """Where a track is on Earth, by its Gaussian in ``row``: ``PLACE``, and of it what its point and its row say."""
    to = at + TAIL
    lat0, lon0 = row[to + ANCHOR], row[to + ANCHOR + 1]
    lat, lon = _geodetic(lat0, lon0, row[at], row[at + 2])
    c, s = turn(lat0, lon0, lat, lon)
    row[to + PLACE] = lat
    row[to + PLACE + 1] = lon
    _rotated(row, at, to + PLACE + 2, c, s)
    for n in range(2 + 14):
        row[to + SHOWN + n] = row[to + PLACE + n]
    _lasting(row, to + SHOWN + 2, row[to + ANCHOR + 2])


def _lasting(row, x, bias):
    """As ``step.lasting``, of the 14 numbers from ``x`` on, in place."""
    half = (row[x + 4] - row[x + 11]) / 2.0
    least = (row[x + 4] + row[x + 11]) / 2.0 - math.sqrt(half * half + row[x + 6] * row[x + 6])
    if least < bias:
        row[x + 4] += bias - least
        row[x + 11] += bias - least


def begin(row, resting, brought, modes, lat_deg, lon_deg, r_ee, r_en, r_nn, ve, vn, r_v, bias):
    """A track at its first measurement, in ``row``.

    Args:
        resting: a bank that begins, without its position; ve, vn: of the measurement, vn NaN where it states no velocity.
        bias: the variance per axis of the errors that last.
    """
    at = resting.shape[0]
    to = at + TAIL
    bank = np.empty(at)
    for k in range(at):
        bank[k] = resting[k]
    for k in range(0, at, WIDTH):
        bank[k + 1] = bank[k + 3] = 0.0
        bank[k + 5] = r_ee
        bank[k + 7] = r_en
        bank[k + 12] = r_nn
    has_v = not math.isnan(vn)
    v0 = ve if has_v else 0.0
    v1 = vn if has_v else 0.0
    what = VELOCITY if has_v else 0
    _stepped(bank, row, np.empty(WORK), what, 0.0, 0.0, brought, brought, modes, 0.0, 0.0, 0.0, 0.0, 0.0, v0, v1, r_v, math.inf)
    for k in range(to, row.shape[0]):
        row[k] = 0.0
    row[to + ANCHOR] = lat_deg
    row[to + ANCHOR + 1] = lon_deg
    row[to + ANCHOR + 2] = bias
    row[to + WAY + 4] = LEG_MISS2
    _told(row, at)


def _holding(x, at, e, n):
    """As ``onward.holding``, of the 14 numbers from ``at`` on, in place."""
    p_ee, p_en, p_nn = x[at + 4], x[at + 6], x[at + 11]
    det = p_ee * p_nn - p_en * p_en
    q = (p_nn * e * e - 2.0 * p_en * e * n + p_ee * n * n) / det
    if q > HELD_NIS:
        a = 1.0 / HELD_NIS - 1.0 / q
        x[at + 4] = p_ee + a * e * e
        x[at + 6] = p_en + a * e * n
        x[at + 11] = p_nn + a * n * n


def _any_way(x, at, back_e, back_n, e, n):
    """As ``onward.any_way``, in place; back: from where it is believed to be to where it was last."""
    _holding(x, at, back_e + e, back_n + n)
    _holding(x, at, back_e - n, back_n + e)
    _holding(x, at, back_e + n, back_n - e)


def _reached(row, out, at, dt_s, stood_s):
    """As ``reach.reached``, in place."""
    way = at + TAIL + WAY
    ve, vn = row[at + 1], row[at + 3]
    known2 = ve * ve + vn * vn - row[at + 8] - row[at + 13]
    ve, vn = going(row[way], row[way + 1], row[way + 5], ve, vn, known2)
    goes = math.sqrt(ve * ve + vn * vn)
    fast = max(math.sqrt(row[way + 6]), goes)
    e, n = row[at] - out[at], row[at + 2] - out[at + 2]
    if goes > 0.0:
        far = fast * dt_s / goes
        _any_way(out, at, e, n, far * ve, far * vn)
    else:
        far = reach_m(fast, stood_s, dt_s)
        if far > 0.0:
            _any_way(out, at, e, n, far, 0.0)
            _holding(out, at, e - far, n)


def _show(row, out, work, into, x, awake_from, table, brought, modes, dt_s, lat0_deg, lon0_deg, bias, stood_s, overdue):
    """``show`` into 16 numbers of another array, from ``x`` on; 14 numbers of ``out`` stand free behind what ``step`` has."""
    at = WIDTH * modes.shape[0]
    _stepped(row, out, work, AHEAD, dt_s, awake_from, table, brought, modes, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    if not (abs(out[at]) <= FAR_M and abs(out[at + 2]) <= FAR_M):
        return False
    _lasting(out, at, bias)
    if overdue:
        e, n = row[at] - out[at], row[at + 2] - out[at + 2]
        _holding(out, at, e, n)
        _any_way(out, at, e, n, -e, -n)
        _reached(row, out, at, dt_s, stood_s)
    lat, lon = _geodetic(lat0_deg, lon0_deg, out[at], out[at + 2])
    c, s = turn(lat0_deg, lon0_deg, lat, lon)
    into[x] = lat
    into[x + 1] = lon
    _rotated(out, at, at + TAIL, c, s)
    for k in range(14):
        into[x + 2 + k] = out[at + TAIL + k]
    return True


def show(row, awake_from, table, brought, modes, dt_s, lat0_deg, lon0_deg, bias, stood_s, overdue):
    """Where a track is believed to be ``dt_s`` later, in ``SHOWN``; False where that is beyond the horizon of its frame.

    Args:
        stood_s: how long it had stood by then.
        overdue: it may have stopped or turned where it was, or be as far as its speed gets it (``step.stayed``, ``reach``).
    """
    at = WIDTH * modes.shape[0]
    out = np.empty(at + TAIL + 14)
    return _show(
        row, out, np.empty(WORK), row, at + TAIL + SHOWN, awake_from, table, brought, modes, dt_s, lat0_deg, lon0_deg, bias,
        stood_s, overdue,
    )


def show_all(row, awake_from, tables, which, brought, modes, times_s, lat0_deg, lon0_deg, bias, stood_s, overdue, told):
    """``show`` at many times, until one is beyond the horizon: how many they were.

    Args:
        tables, which: what ``show`` has as ``table``, and of each time which of them its is.
        told: (n, 16), what is in ``SHOWN`` of each.
    """
    out, work = np.empty(WIDTH * modes.shape[0] + TAIL + 14), np.empty(WORK)
    for i in range(times_s.shape[0]):
        if not _show(
            row, out, work, told[i], 0, awake_from, tables[which[i]], brought, modes, times_s[i], lat0_deg, lon0_deg, bias,
            stood_s, overdue,
        ):
            return i
    return times_s.shape[0]


def _follow(
    row, out, work, awake_from, table, brought, modes, dt_s, lat_deg, lon_deg, r_ee, r_en, r_nn, ve, vn, gate, base, base_v,
    side_s, flags,
):  # fmt: skip
    """A track after the next fix of a device of its own, where that is one like nearly all: near, believed, no new anchor.

    All of it stands in ``row``, which is changed in place: the bank, what ``step`` has behind it, and the ``FOLLOWED`` numbers
    of what follows from it.  Answers ``USED``, with ``CHANGED`` where its side changed, ``FIRST`` where the other one is new
    and ``LEFT`` where it left its spot; 0 where it is no such fix: then nothing is changed, and ``step.advance`` has it.

    Args:
        dt_s: since what was used last; lat_deg .. vn: of the fix; vn NaN where it states no velocity.
        out, work: to work in, at + ``TAIL`` and ``WORK`` numbers.
        gate, base, base_v: the class's largest NIS of a velocity, and its variances of place and velocity.
        side_s: since its side changed.
        flags: STATED, the fix states how good it is; SIDES, there are sides; SAME, the fix before was of the same receiver.
    """
    at = WIDTH * modes.shape[0]
    to = at + TAIL
    lat0_deg, lon0_deg, bias = row[to + ANCHOR], row[to + ANCHOR + 1], row[to + ANCHOR + 2]
    away_deg = abs(lon_deg - lon0_deg)
    away_deg = min(away_deg, 360.0 - away_deg) * math.cos(math.radians(lat0_deg))
    if not (abs(lat_deg - lat0_deg) <= NEAR_DEG and away_deg <= NEAR_DEG):
        return 0
    count, r, count_v = row[to + NOISE], row[to + NOISE + 1], row[to + NOISE + 2]
    r_v, count_l, r_l = row[to + NOISE + 3], row[to + NOISE + 4], row[to + NOISE + 5]
    said = base
    says = max(r_ee, r_nn)
    if not flags & STATED:
        says = min(r, base)
        r_ee = r_nn = r
        r_en = 0.0
    else:
        share = lasting_share(row[to + WHITE], row[to + WHITE + 1]) if flags & SAME else 1.0
        said = (r_ee + r_nn) / 2.0
        k = boasts(count, r, r_ee, r_nn, share)
        r_ee, r_en, r_nn = k * r_ee, k * r_en, k * r_nn
    z0, z1 = _en(lat0_deg, lon0_deg, lat_deg, lon_deg)
    what = POSITION | (AHEAD if dt_s > 0.0 else 0)
    v0, v1, spread = 0.0, 0.0, r_v
    r00, r01, r11 = r_ee, r_en, r_nn
    has_v = not math.isnan(vn)
    if has_v:
        what |= VELOCITY
    if (has_v and (ve != 0.0 or vn != 0.0)) or r_en != 0.0 or r_ee != r_nn:
        c, s = turn(lat_deg, lon_deg, lat0_deg, lon0_deg)
        r00, r01, r11 = rotated(r_ee, r_en, r_nn, c, s)
        if has_v:
            v0 = c * ve + s * vn
            v1 = -s * ve + c * vn
    here_e, here_n, here_r = row[to + TWO], row[to + TWO + 1], row[to + TWO + 2]
    other_e, other_n, other_r = row[to + TWO + 3], row[to + TWO + 4], row[to + TWO + 5]
    turns, odds, quick, off = row[to + TWO + 6], row[to + TWO + 7], row[to + TWO + 8], row[to + TWO + 9]
    every_s, even = row[to + TWO + 10], row[to + TWO + 11]
    if flags & SIDES:
        if is_torn(turns, odds, math.hypot(here_e - other_e, here_n - other_n), here_r + other_r):
            return 0
        side, here_e, here_n, here_r, other_e, other_n, other_r, turns, odds, quick, off, every_s, even = sided(
            dt_s, side_s, z0, z1, says, math.hypot(v0, v1) if has_v else 0.0, here_e, here_n, here_r, other_e, other_n, other_r,
            turns, odds, quick, off, every_s, even)
        if is_torn(turns, odds, math.hypot(here_e - other_e, here_n - other_n), here_r + other_r):
            return 0
    else:
        side, here_e, here_n, here_r, other_e, other_n, other_r, turns, odds, quick, off, every_s, even = (
            3, z0, z1, says + FIX_LEAST, z0, z1, -1.0, 0.0, 0.0, 0.0, 0.0, 0.0, EVEN)
    _stepped(row, out, work, what, dt_s, awake_from, table, brought, modes, z0, z1, r00, r01, r11, v0, v1, spread, gate)
    if not out[at + 15] >= OUTLIER_MOST or not (abs(out[at]) <= REANCHOR_M and abs(out[at + 2]) <= REANCHOR_M):
        return 0
    e, n = out[at], out[at + 2]
    p_ee, p_nn = out[at + 4], out[at + 11]
    found = ((z0 - e) ** 2 + (z1 - n) ** 2 + p_ee + p_nn) / 2.0
    if flags & STATED and flags & SAME and 0.0 < dt_s <= DIFFERS_S:
        found = not_of_the_way(found, z0 - e, z1 - n, row[to + WHITE + 2], row[to + WHITE + 3], p_ee + p_nn, said,
                               out[at + 1] * out[at + 1] + out[at + 3] * out[at + 3])
    count, r = found_of(count, r, found, said)
    r = max(r, SIGMA_FLOOR_M * SIGMA_FLOOR_M)
    if has_v:
        x1, x3 = out[at + 1], out[at + 3]
        count_v, r_v = mean_of(count_v, r_v, ((v0 - x1) ** 2 + (v1 - x3) ** 2 + out[at + 8] + out[at + 13]) / 2.0, base_v)
        r_v = max(r_v, VELOCITY_LEAST_MPS * VELOCITY_LEAST_MPS, VELOCITY_SHARE * VELOCITY_SHARE * (x1 * x1 + x3 * x3))
    gain = min(1.0, (p_ee + p_nn) / (r_ee + r_nn))
    white, white_n, lag = 0.0, 0.0, 0.0
    if flags & SAME:
        lag = lagged(
            row[to + WHITE + 4], dt_s, z0 - e, z1 - n, row[to + WHITE + 2], row[to + WHITE + 3], out[at + 1], out[at + 3],
            row[at + 1], row[at + 3], (r_ee + r_nn) / 2.0)
    if flags & STATED and flags & SAME:
        white, white_n = row[to + WHITE], row[to + WHITE + 1]
        if 0.0 < dt_s <= WHITE_S:
            white, white_n = whiter(
                white, white_n, row[to + WHITE + 2], row[to + WHITE + 3], z0 - e, z1 - n, gain, (r_ee + r_nn) / 2.0)
    last = LASTING * (r_ee + r_nn) / 2.0
    if flags & STATED:
        last = unsaid(count_l, r_l, last, said, lasting_share(white, white_n))
    else:
        last = max(last, lasts(count_l, r_l, base))
    bias = max(bias + gain * (last - bias), LAG_HELD * lag - LAG_CHANCE * (r_ee + r_nn) / 2.0)
    stay = to + ANCHOR + 3
    stood_s = row[stay + 4]
    left, spot_e, spot_n, stay_e, stay_n, stay_s, away2 = rested(
        e, n, max(p_ee, p_nn) + bias, dt_s, row[stay], row[stay + 1], row[stay + 2], row[stay + 3], stood_s)
    if not left and dt_s > 0.0 and stay_s > STOOD_S:
        count_l, r_l = wandered(count_l, r_l, dt_s, stay_s, away2)
    way = to + WAY
    if has_v and out[at + 16] <= gate:
        ahead_e, ahead_n = v0, v1
    else:
        ahead_e, ahead_n = 0.0, math.nan
    known2 = out[at + 1] * out[at + 1] + out[at + 3] * out[at + 3] - out[at + 8] - out[at + 13]
    way_e, way_n, on_s, breaks, miss2, sure, fast2 = gone_on(
        row[way], row[way + 1], row[way + 2], row[way + 3], row[way + 4], row[way + 5], row[way + 6], left, e - row[at],
        n - row[at + 2], dt_s, ahead_e, ahead_n, stood_s, known2)
    for k in range(at + TAIL):
        row[k] = out[k]
    for k in range(7):
        row[way + k] = (way_e, way_n, on_s, breaks, miss2, sure, fast2)[k]
    for k in range(6):
        row[to + ANCHOR + 2 + k] = (bias, spot_e, spot_n, stay_e, stay_n, stay_s)[k]
    for k in range(6):
        row[to + NOISE + k] = (count, r, count_v, r_v, count_l, r_l)[k]
    for k in range(12):
        row[to + TWO + k] = (here_e, here_n, here_r, other_e, other_n, other_r, turns, odds, quick, off, every_s, even)[k]
    for k in range(5):
        row[to + WHITE + k] = (white, white_n, z0 - e, z1 - n, lag)[k]
    _told(row, at)
    return USED | (CHANGED if side & 1 else 0) | (FIRST if side & 2 else 0) | (LEFT if left else 0)


def follow(
    row, awake_from, table, brought, modes, dt_s, lat_deg, lon_deg, r_ee, r_en, r_nn, ve, vn, gate, base, base_v, side_s, flags,
):  # fmt: skip
    """``_follow``, from outside."""
    return _follow(
        row, np.empty(WIDTH * modes.shape[0] + TAIL), np.empty(WORK), awake_from, table, brought, modes, dt_s, lat_deg, lon_deg,
        r_ee, r_en, r_nn, ve, vn, gate, base, base_v, side_s, flags,
    )  # fmt: skip


def follow_all(
    row, awake_from, tables, brought, modes, rows, whole, waits_s, which, told, gate, base, base_v, stated, sides, second_ns,
    turned_ns, keep, each, kept, kept_ns,
):  # fmt: skip
    """``follow`` with fixes of the device heard last, one after the other, until one is no such fix: how many they were.

    Args:
        tables: what ``follow`` has as ``table``, of several times; modes: likewise, so that what is kept there is each time's.
        rows: as ``ring.table`` has them, of each from the second on lat_deg, lon_deg, r_ee, r_en, r_nn, ve, vn; whole: the same
            as whole numbers, the first of each when it was; waits_s: of each dt_s; which: and which of the tables its is.
        told: (n, 8), what the filter says after each: NIS, then of the place lat_deg, lon_deg, ve, vn, p_ee, p_en, p_nn.
        stated: whether they state how good they are; sides: whether there are sides before the first; second_ns: a second.
        turned_ns: when its side last changed, when it last left its spot, and that before its two sides were there; changed in
            place.
        keep: the row is kept after this one and after every ``each``-th from then on, in ``kept``; kept_ns: ``turned_ns`` then.
    """
    return _follow_all(
        row, np.empty(WIDTH * modes.shape[1] + TAIL), np.empty(WORK), awake_from, tables, brought, modes, rows, whole, waits_s,
        which, told, gate, base, base_v, stated, sides, second_ns, turned_ns, keep, each, kept, kept_ns,
    )  # fmt: skip


def _follow_all(
    row, out, work, awake_from, tables, brought, modes, rows, whole, waits_s, which, told, gate, base, base_v, stated, sides,
    second_ns, turned_ns, keep, each, kept, kept_ns,
):  # fmt: skip
    """``follow_all``; out, work: as ``_follow`` has them."""
    x = WIDTH * modes.shape[1] + TAIL + PLACE
    nis = x - PLACE - TAIL + 14
    n = rows.shape[0]
    kept_n = 0
    for i in range(n):
        flags = SAME | STATED if stated else SAME
        side_s = 0.0
        if sides:
            flags |= SIDES
            side_s = (whole[i, 0] - turned_ns[0]) / second_ns
        did = _follow(
            row, out, work, awake_from, tables[which[i]], brought, modes[which[i]], waits_s[i], rows[i, 1], rows[i, 2],
            rows[i, 3], rows[i, 4], rows[i, 5], rows[i, 6], rows[i, 7], gate, base, base_v, side_s, flags)
        if not did:
            return i
        sides = True
        if did & CHANGED:
            turned_ns[0] = whole[i, 0]
        if did & FIRST:
            turned_ns[2] = turned_ns[1]
        if did & LEFT:
            turned_ns[1] = whole[i, 0]
        told[i, 0] = row[nis]
        told[i, 1], told[i, 2], told[i, 3], told[i, 4] = row[x], row[x + 1], row[x + 3], row[x + 5]
        told[i, 5], told[i, 6], told[i, 7] = row[x + 6], row[x + 8], row[x + 13]
        if i == keep:
            for k in range(row.shape[0]):
                kept[kept_n, k] = row[k]
            for k in range(3):
                kept_ns[kept_n, k] = turned_ns[k]
            kept_n += 1
            keep += each
    return n


def squeeze(row, modes, out):
    """What of a row stands for its filter (``kept``), without what sleeps, into out: how many numbers."""
    m = modes.shape[0]
    at = WIDTH * m
    to = at + TAIL
    for k in range(14):
        out[1 + k] = row[at + k]
    for k in range(8):
        out[15 + k] = row[to + ANCHOR + k]
    for k in range(5):
        out[23 + k] = row[to + WHITE + k]
    for k in range(7):
        out[28 + k] = row[to + WAY + k]
    n, awake, bit = HEAD, 0.0, 1.0
    for k in range(0, at, WIDTH):
        out[n] = row[k]
        n += 1
        if row[k + 5] >= 0.0:
            awake += bit
            for r in range(1, WIDTH):
                out[n] = row[k + r]
                n += 1
        bit *= 2.0
    out[0] = m * MOTIONS + awake
    return n


def place_all(lat0_deg, lon0_deg, x, told):
    """Where states (N, 14) are on Earth, into told: of each lat_deg, lon_deg, and the state in the axes there.

    What is foretold to run so far that its frame's plane folds over stays at the anchor.
    """
    row = np.empty(28)
    for i in range(x.shape[0]):
        for k in range(14):
            row[k] = x[i, k]
        lat, lon = lat0_deg[i], lon0_deg[i]
        if abs(row[0]) < HORIZON_M and abs(row[2]) < HORIZON_M:
            lat, lon = _geodetic(lat, lon, row[0], row[2])
        c, s = turn(lat0_deg[i], lon0_deg[i], lat, lon)
        _rotated(row, 0, 14, c, s)
        told[i, 0] = lat
        told[i, 1] = lon
        for k in range(14):
            told[i, 2 + k] = row[14 + k]


#: What those of ``Compiled`` call, in the order in which one needs the other.
_INNER = (
    "_coefficients", "_ahead", "_least", "_measured", "_gaussian", "_stepped", "turn", "rotated", "is_torn", "unseen", "hidden",
    "usually", "sided",
    "mean_of", "found_of", "not_of_the_way",
    "lasts", "unsaid", "lasting_share", "boasts", "whiter", "lagged", "wandered", "rested", "faster", "gone_on",
    "going", "reach_m", "_en", "_geodetic", "_rotated", "_lasting", "_told", "_holding", "_any_way", "_reached", "_show",
    "_follow", "_follow_all",
)  # fmt: skip


class Compiled(NamedTuple):
    """What is called from outside, as it runs."""

    step: Callable[..., np.ndarray]
    begin: Callable[..., None]
    show: Callable[..., bool]
    show_all: Callable[..., int]
    follow: Callable[..., int]
    follow_all: Callable[..., int]
    squeeze: Callable[..., int]
    place_all: Callable[..., None]


@functools.cache
def compiled() -> Compiled:
    """The functions of ``Compiled`` compiled; as they stand here where there is no Numba."""
    try:
        import numba
    except ImportError:  # no wheel for this machine or Python
        return Compiled(step, begin, show, show_all, follow, follow_all, squeeze, place_all)
    flat = numba.types.Array(numba.float64, 1, "C", readonly=True)
    table = numba.types.Array(numba.float64, 2, "C", readonly=True)
    tables = numba.types.Array(numba.float64, 3, "C", readonly=True)
    number, row, modes = numba.float64, numba.float64[::1], numba.float64[:, ::1]
    whole, wholes, wide, each_modes = numba.int64, numba.int64[::1], numba.int64[:, ::1], numba.float64[:, :, ::1]
    signatures = {
        "step": row(flat, whole, number, number, table, table, modes, *[number] * 9),
        "begin": numba.void(row, flat, table, modes, *[number] * 9),
        "show": numba.boolean(row, number, table, table, modes, *[number] * 5, numba.boolean),
        "show_all": whole(row, number, tables, wholes, table, modes, row, *[number] * 4, numba.boolean, modes),
        "follow": whole(row, number, table, table, modes, *[number] * 12, whole),
        "follow_all": whole(row, number, tables, table, each_modes, modes, wide, row, wholes, modes, *[number] * 3,
                            numba.boolean, numba.boolean, whole, wholes, whole, whole, modes, wide),
        "squeeze": whole(row, modes, row),
        "place_all": numba.void(row, row, modes, modes),
    }
    return Compiled(*machine_code(globals(), signatures, _INNER))


def machine_code(module: dict[str, Any], signatures: dict[str, Any], inner: tuple[str, ...] = ()) -> list[Callable[..., Any]]:
    """The functions of a module that have a signature, compiled: what Numba kept of them, or made now and kept.

    Args:
        module: its ``globals()``; inner: which of its functions those call, each before who calls it.
    """
    import numba

    # functions of their own, which find each other compiled: the ones of the module stay as they are written
    for keep in (True, False):
        names = dict(module)
        flags: dict[str, Any] = {"cache": keep, "error_model": "numpy", "no_cfunc_wrapper": True}
        try:
            for name in inner:
                code = FunctionType(module[name].__code__, names, name)
                # what makes no array need not count who holds one: each count locks the bus, forty a step
                names[name] = numba.njit(**{"no_cpython_wrapper": True, "_nrt": False, **flags})(code)
            made: list[Any] = [
                numba.njit(signature, **flags)(FunctionType(module[name].__code__, names, name))
                for name, signature in signatures.items()
            ]  # fmt: skip
            # the one way in, without the dispatcher, which would look at the type of each argument first (1.8 µs to 0.6)
            return [next(iter(one.overloads.values())).entry_point for one in made]
        except Exception:  # boundary: no folder, a full one, any fault of what Numba unpickles (a power cut's)
            if not keep:
                raise
    raise AssertionError
