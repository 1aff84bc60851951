r"""NMEA 0183 (IEC 61162-1): the text lines of GNSS receivers over serial lines, TCP and UDP.

Layout of the two sentences that matter; the talker (GP, GN, GL, GA, BD …) is any two letters::

    $GPRMC,hhmmss.ss,A,ddmm.mmmm,N,dddmm.mmmm,E,knots,course,ddmmyy,var,E,mode,nav*hh CR LF
           0 1       2 3         4 5          6 7     8      9      10  11 12   13
    $GPGGA,hhmmss.ss,ddmm.mmmm,N,dddmm.mmmm,E,quality,sats,hdop,alt,M,sep,M,age,ref*hh CR LF
           1         2         3 4          5 6       7    8    9   10

Also read: GLL and GNS (position), VTG (speed and course), GST (sigma of the position), ZDA (date), u-blox's PUBX,00, and UBX
frames that the same line carries (format ``ubx``).  Every other sentence with a right check sum says nothing here; one that is
known to hold a position (Garmin's PGRMF, Trimble's PTNL,GGK ...) is named in ``unread`` where no other sentence has given one.
An address that begins with P is its maker's own and no talker (``$PGRMC`` is Garmin's).  The sentences of one time of day are
one fix: each of them gives a Fix with the fields that are known for that epoch so far, same device and time, so that
whoever keeps the newest has them all.  VTG has no time: it is of the position before it.

* No check sum or a wrong one: reject ``checksum``; nothing in the sentence is believed.
* RMC and GLL status V, GGA quality 0, mode N: no fix (status D, of Unicore's receivers with RTK, is one); the first of them
  gives the reading ``fix_valid`` false.  Quality 7 and 8, mode M and S (typed in, simulator) are no measurement: no fix either.
  Quality 6 or mode E (dead reckoning): flag ``low_quality``.
* The date comes from RMC or ZDA; until one has come, from what a tag block or the log states beside the sentence
  (``devices.sentences``: ``time_source`` ``gateway``), else from the day of reception, the nearest to the time of day
  that is no more than two hours ahead (``server``).  What is stated beside one sentence counts for all of its time of day
  and, in a log without times of reception, until the next.  Two-digit years: 80 to 99 are 19xx.  A date from where clocks
  begin that nobody has set is none (``no_fix_time``).  A time that is 1024 weeks behind its reception gets the flag
  ``week_rollover_suspected`` and stays.
* Not available is no value: an empty field, HDOP 99 and above or 0, satellites above 999.  Such an HDOP (99.99 is what a
  receiver writes that cannot tell), a fix of 0 satellites and PUBX accuracies of 1,000 km and more say ``low_quality``.
  HDOP is an attribute; only GST and PUBX state an accuracy, so only they give ``sigma_m``; and where a minute has fewer than
  three decimals, which is the resolution: ``sigma_m`` is never below its step / √12, nor 10 m where nothing else is stated.

Source: IEC 61162-1:2016, clause 8.3; NMEA Revealed (gpsd.gitlab.io/gpsd/NMEA.html); u-blox M8 Receiver Description
UBX-13003221, 31.3.2 (PUBX,00).
"""

from __future__ import annotations

from birddog.units import KNOT_MPS
from devices import sentences
from devices.gnss_line import Decoder
from devices.gnss_line import SentenceFramer as Framer

__all__ = ["STREAM", "VERSION", "Decoder", "Framer", "encode"]

VERSION = 6
STREAM = True
TEXT = True
NAMELESS = True
#: The bytes name nobody, a message is its sender's; but AIS and DSC sentences, which say nothing here, name their ship.
NAMES_DEVICE = False


# --- the other way --------------------------------------------------------------------------------------


def encode(
    *,
    lat_deg: float,
    lon_deg: float,
    time_ns: int,
    speed_mps: float = 0.0,
    course_deg: float = 0.0,
    alt_m: float | None = None,
    satellites: int = 9,
    hdop: float = 0.9,
    sigma_m: float = 3.0,
    talker: str = "GP",
    valid: bool = True,
    which: str = "RMC+GGA",
) -> bytes:
    """The sentences of one second as a receiver writes them, to 1e-5 minutes and 10 ms.

    Args:
        valid: False: status V and quality 0, positions empty.
        sigma_m: one sigma per axis, as GST says it.
        which: ``RMC``, ``GGA``, ``GST``, or some of them joined by ``+``, in that order.
    """
    from birddog.units import iso_from_ns

    stamp = iso_from_ns(time_ns)
    clock, day = stamp[11:13] + stamp[14:16] + stamp[17:22], stamp[8:10] + stamp[5:7] + stamp[2:4]
    place = f"{_degrees(lat_deg, 2)},{'NS'[lat_deg < 0]},{_degrees(lon_deg, 3)},{'EW'[lon_deg < 0]}" if valid else ",,,"
    out = b""
    for kind in which.split("+"):
        if kind == "RMC":
            motion = f"{speed_mps / KNOT_MPS:.3f},{course_deg % 360.0:.2f}" if valid else ","
            body = f"{talker}RMC,{clock},{'A' if valid else 'V'},{place},{motion},{day},,,{'A' if valid else 'N'}"
        elif kind == "GST":
            spread = ",".join([f"{sigma_m:.2f}"] * 3 + ["0.0"] + [f"{sigma_m:.2f}"] * 2 + [f"{sigma_m * 1.6:.2f}"])
            body = f"{talker}GST,{clock},{spread if valid else ',' * 6}"
        else:
            height = f"{alt_m:.1f},M" if valid and alt_m is not None else ",M"
            body = f"{talker}GGA,{clock},{place},{int(valid)},{satellites if valid else 0:02d},{hdop:.1f},{height},,M,,"
        out += sentences.seal("$", body)
    return out


def _degrees(value: float, width: int) -> str:
    units = round(abs(value) * 60e5)  # 1e-5 minutes
    degrees, rest = divmod(units, 6_000_000)
    return f"{degrees:0{width}d}{rest // 100_000:02d}.{rest % 100_000:05d}"
