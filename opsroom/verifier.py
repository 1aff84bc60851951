#!/usr/bin/env python3
"""Verify an evidence bundle of Birddog with nothing but Python: python3 verify.py BUNDLE --key KEY

KEY is the log's public key, NAME+HASH+KEY, as it was handed over by another way than the bundle; without it what is inside
only agrees with itself.  One line for each record or file that fails, then a summary; exit 0 = all holds, 1 = something does
not, 2 = this is no bundle.  A copy of this file lies in each bundle; use one that you trust.

What is checked: the zip is byte for byte the one that its files make, in the order of an export; each file has the hash that
the manifest says; the manifest and the checkpoint are signed by KEY (Ed25519, RFC 8032), or by one that KEY named; each
record's statement is a leaf of the log (RFC 6962) whose root the checkpoint signs; its fields are those that the statement
commits to, shown or not. What is not is counted. Of a time stamp (RFC 3161): that it is over a checkpoint of this log, and
the time that it says; not that an authority made it, which birddog evidence verify --tsa-ca says, or openssl ts -verify, by
the authority's certificate.

Over 400 lines: one file that needs no other, on purpose; what it repeats of birddog/ stands here so that nothing is imported.
"""

import argparse
import base64
import binascii
import hashlib
import json
import os
import struct
import sys
import time
import zipfile
import zlib

FORM = 2
WIDTH, HASH = 256, 32
#: More than this is no bundle of ours: a file, all files, how many there are.
MOST_FILE, MOST_BYTES, MOST_FILES, MOST_LINE = 1 << 34, 1 << 35, 1_000_000, 1 << 24
#: What zipfile raises on a member whose header was changed.
_UNREADABLE = (zipfile.BadZipFile, EOFError, OSError, NotImplementedError, RuntimeError, ValueError, zlib.error, struct.error)


class Refused(Exception):
    """This is no bundle, and nothing in it was believed."""


class Wrong(Exception):
    """A check failed."""


# --- Ed25519 (RFC 8032, section 5.1), to verify only ------------------------------------------------

_P = 2**255 - 19
_L = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, _P - 2, _P) % _P
_ROOT = pow(2, (_P - 1) // 4, _P)


def _x_of(y, sign):
    if y >= _P:
        return None
    x2 = (y * y - 1) * pow(_D * y * y + 1, _P - 2, _P) % _P
    if x2 == 0:
        return None if sign else 0
    x = pow(x2, (_P + 3) // 8, _P)
    if (x * x - x2) % _P:
        x = x * _ROOT % _P
    if (x * x - x2) % _P:
        return None
    return _P - x if x & 1 != sign else x


_BY = 4 * pow(5, _P - 2, _P) % _P
_BX = _x_of(_BY, 0)
_BASE = (_BX, _BY, 1, _BX * _BY % _P)


def _add(p, q):
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % _P, (p[1] + p[0]) * (q[1] + q[0]) % _P
    c, d = 2 * p[3] * q[3] * _D % _P, 2 * p[2] * q[2] % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _times(n, p):
    found = (0, 1, 1, 0)
    while n:
        if n & 1:
            found = _add(found, p)
        p, n = _add(p, p), n >> 1
    return found


def _point(data):
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & (1 << 255) - 1
    x = _x_of(y, sign)
    return None if x is None else (x, y, 1, x * y % _P)


def ed25519_holds(public, message, signature):
    """Whether a signature holds; without the cofactor, as most programs have it."""
    if len(public) != 32 or len(signature) != 64:
        return False
    a, r, s = _point(public), _point(signature[:32]), int.from_bytes(signature[32:], "little")
    if a is None or r is None or s >= _L:
        return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % _L
    p, q = _times(s, _BASE), _add(r, _times(k, a))
    return (p[0] * q[2] - q[0] * p[2]) % _P == 0 and (p[1] * q[2] - q[1] * p[2]) % _P == 0


# --- notes (C2SP signed-note, tlog-checkpoint) ------------------------------------------------------


def _decoded(text):
    try:
        found = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError, TypeError):
        raise Wrong("is no canonical base64") from None
    if base64.b64encode(found).decode() != text:
        raise Wrong("is no canonical base64")
    return found


def key_of(text, kind=1):
    """(name, hash, public) of a key's text NAME+HASH+KEY; of kind 4 a witness's."""
    parts = text.strip().split("+", 2)
    if len(parts) != 3:
        raise Wrong("the key is not of the form NAME+HASH+KEY")
    raw = _decoded(parts[2])
    digest = hashlib.sha256(parts[0].encode() + b"\n" + raw).digest()[:4]
    if len(raw) != 33 or raw[0] != kind or digest.hex() != parts[1]:
        raise Wrong(f"the key is no Ed25519 key of a {'log' if kind == 1 else 'witness'}, or its hash is another key's")
    return parts[0], digest, raw[1:]


def note_text(note, key, times=None):
    """The text of a note that a key signed; a witness's time (POSIX seconds) is put into ``times`` (C2SP tlog-cosignature)."""
    try:
        whole = note.decode()
    except UnicodeDecodeError:
        raise Wrong("is no text") from None
    text, empty, lines = whole.rpartition("\n\n")
    if not empty or not lines.endswith("\n"):
        raise Wrong("has no signature")
    name, digest, public = key
    text += "\n"
    holds = False
    for line in lines[:-1].split("\n"):
        dash, who, blob = (line.split(" ") + ["", "", ""])[:3]
        if dash != "\u2014" or line != f"{dash} {who} {blob}":
            raise Wrong("has a line that is no signature")
        raw = _decoded(blob)
        if len(raw) < 5:
            raise Wrong("has a signature that is too short")
        if who == name and raw[:4] == digest:
            said, raw = text.encode(), raw[4:]
            if times is not None and len(raw) == 72:
                times.append(int.from_bytes(raw[:8], "big"))
                said, raw = b"cosignature/v1\ntime %d\n" % times[-1] + said, raw[8:]
            if not ed25519_holds(public, said, raw):
                raise Wrong("has a signature that does not hold")
            holds = True
    if not holds:
        raise Wrong(f"is not signed by {name}")
    return text


def rotation_in(row):
    """(the key before, the new one, from which size on it signs) where a row of keys has a note that both signed, else None."""
    if not isinstance(row, dict) or not isinstance(row.get("note", ""), str):
        raise Wrong("has a key of the log that is none")
    lines = row.get("note", "").rpartition("\n\n")[0].split("\n")
    if len(lines) != 4 or lines[0] != "birddog log key":
        return None
    old, new, since = key_of(lines[2]), key_of(lines[3]), row.get("from_size")
    if not lines[1] == new[0] == old[0] or type(since) is not int:
        raise Wrong("names the key of another log")
    for one in (old, new):
        note_text(row["note"].encode("utf-8", "replace"), one)
    return old, new, since


def keys_from(key, rows):
    """[(from which size on it signs, the key)]: a trusted one, those that it named, and those before that named it."""
    if not isinstance(rows, list):
        raise Wrong("has no keys of the log")
    held, turns = [(0, key)], [found for found in map(rotation_in, rows) if found]
    for old, new, since in turns:
        if old == held[-1][1]:
            held.append((since, new))
    for old, new, since in reversed(turns):
        if new == held[0][1]:
            held[0:1] = [(0, old), (since, new)]
    return held


# --- the zip ---------------------------------------------------------------------------------------


def names_of(archive, size):
    """The members of a zip of this size, in order; refused where a name, a size or a kind is none of ours."""
    infos = archive.infolist()
    if len(infos) > MOST_FILES:
        raise Refused(f"{len(infos)} files are too many")
    seen, total = set(), 0
    for info in infos:
        name = info.filename
        shown = ascii(name)[:80]
        if name.startswith("/") or ".." in name.split("/") or any(c in name for c in "\\\0:") or not name.isprintable():
            raise Refused(f"a file is called {shown}: such a name leaves the folder")
        if name in seen:
            raise Refused(f"{shown} is there twice")
        if info.external_attr >> 28 not in (0, 8):
            raise Refused(f"{shown} is a link or a device")
        if info.flag_bits & 1:
            raise Refused(f"{shown} is encrypted")
        if info.compress_type != zipfile.ZIP_STORED:
            raise Refused(f"{shown} is compressed, {info.compress_size} bytes for {info.file_size}: no file of a bundle is")
        if info.file_size > MOST_FILE:
            raise Refused(f"{shown} has {info.file_size} bytes: too many")
        total += info.file_size
        seen.add(name)
    if total > MOST_BYTES:
        raise Refused(f"{total} bytes in all are too many")
    if total > size:
        raise Refused(f"its files have {total} bytes, and it has {size}: they lie over one another")
    if "bundle.json" not in seen:
        inner = [name for name in seen if name.lower().endswith((".zip", ".bdz"))]
        if inner:
            raise Refused(f"it was zipped twice: the bundle is {ascii(sorted(inner)[0])[:80]} in it")
        raise Refused("it is a zip, and no bundle: bundle.json is not in it")
    return [info.filename for info in infos]


#: The files of a bundle, in the order in which an export writes them; those of a folder: ``place_of``.
_ORDER = ("README.txt", "case.html", "certificate.txt", "checkpoint", "records.jsonl", "tile", "tracks.csv", "witness", "stamp",
          "verify.html", "verify.py", "bundle.json", "bundle.note")
_KINDS = (".note", ".proof", ".tsr")


def place_of(name):
    """Where a file stands among those of a bundle, as a text to compare; "" of one that is none of them."""
    folder, slash, rest = name.partition("/")
    if folder not in _ORDER or bool(slash) != (folder in ("tile", "witness", "stamp")):
        return ""
    if folder in ("witness", "stamp"):  # by the names of their notes, of stamps by their numbers
        kind = next((n for n, kind in enumerate(_KINDS) if rest.endswith(kind)), None)
        if kind is None:
            return ""
        stem = rest[: -len(_KINDS[kind])]
        rest = (stem.rjust(20, "0") if folder == "stamp" else stem + ".note") + f"\0{kind}"
    return f"{_ORDER.index(folder):02}{rest}"


def out_of_order(names):
    """The first file that stands behind one which an export writes later, in words; "" where they stand as it writes them."""
    before = ""
    for name in names:
        place = place_of(name)
        if place and before and place < place_of(before):
            return f"{name}: stands behind {before}: the files were put in another order"
        before = name if place else before
    return ""


class Headers:
    """What a zip of ours has around its files, byte for byte: no time, no mode, nothing compressed (APPNOTE 4.3)."""

    def __init__(self):
        self.central, self.at, self.count = b"", 0, 0

    def local(self, name, crc, size):
        """The header in front of a file."""
        raw = name.encode()
        wide = size >= 0xFFFFFFFF
        extra = struct.pack("<HHQQ", 1, 16, size, size) if wide else b""
        short = 0xFFFFFFFF if wide else size
        flags = 0 if name.isascii() else 0x800
        head = struct.pack("<IHHHHHIIIHH", 0x04034B50, 45 if wide else 20, flags, 0, 0, 33, crc, short, short, len(raw),
                           len(extra))
        far = self.at >= 0xFFFFFFFF
        more = (struct.pack("<QQ", size, size) if wide else b"") + (struct.pack("<Q", self.at) if far else b"")
        more = struct.pack("<HH", 1, len(more)) + more if more else b""
        version, begins = 45 if more else 20, 0xFFFFFFFF if far else self.at
        self.central += struct.pack("<IHHHHHHIIIHHHHHII", 0x02014B50, 0x300 | version, version, flags, 0, 0, 33, crc, short,
                                    short, len(raw), len(more), 0, 0, 0, 0o600 << 16, begins) + raw + more
        self.at += len(head) + len(raw) + len(extra) + size
        self.count += 1
        return head + raw + extra

    def end(self):
        """What stands behind the files."""
        size, at, count = len(self.central), self.at, self.count
        out = self.central
        if at >= 0xFFFFFFFF or count >= 0xFFFF:
            out += struct.pack("<IQHHIIQQQQ", 0x06064B50, 44, 0x32D, 45, 0, 0, count, count, size, at)
            out += struct.pack("<IIQI", 0x07064B50, 0, at + size, 1)
        some = min(count, 0xFFFF)
        return out + struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, some, some, size, min(at, 0xFFFFFFFF), 0)


def same_zip(path, names, sizes, crcs):
    """Whether the zip is byte for byte the one that its files make; else what is wrong."""
    headers = Headers()
    with open(path, "rb") as file:
        for name in names:
            want = headers.local(name, crcs[name], sizes[name])
            if file.read(len(want)) != want:
                return f"{name}: its header in the zip was changed, or the file"
            file.seek(sizes[name], os.SEEK_CUR)
        want = headers.end()
        if file.read(len(want) + 1) != want:
            return "the zip's directory was changed, or something was put behind it"
    return ""


# --- records ---------------------------------------------------------------------------------------


def leaf_of(statement):
    """The hash of a record, RFC 6962 section 2.1."""
    return hashlib.sha256(b"\0" + statement).digest()


def peaks_of(hashes):
    """The roots of the perfect subtrees over some hashes, from the left."""
    peaks, begin = [], 0
    while begin < len(hashes):
        width = 1 << (len(hashes) - begin).bit_length() - 1
        row = hashes[begin : begin + width]
        while len(row) > 1:
            row = [hashlib.sha256(b"\1" + row[n] + row[n + 1]).digest() for n in range(0, len(row), 2)]
        peaks.append(row[0])
        begin += width
    return peaks


def fold(peaks):
    """The root over subtrees, from the left the largest first."""
    peaks = list(peaks)
    found = peaks.pop()
    while peaks:
        found = hashlib.sha256(b"\1" + peaks.pop() + found).digest()
    return found


def check_grown(size1, size2, proof, root1, root2):
    """Whether the log of size1 records is the beginning of that of size2 (RFC 9162, section 2.1.4.2); Wrong else."""
    if not 0 < size1 <= size2 or any(len(step) != HASH for step in proof):
        raise Wrong("its proof is none")
    if size1 == size2:
        if proof or root1 != root2:
            raise Wrong("is of another log of as many records: it was forked")
        return
    node, last, steps = size1 - 1, size2 - 1, list(proof)
    while node & 1:
        node, last = node >> 1, last >> 1
    old = new = steps.pop(0) if node and steps else root1
    for step in steps:
        if not last:
            raise Wrong("its proof is none")
        if node & 1 or node == last:
            old, new = hashlib.sha256(b"\1" + step + old).digest(), hashlib.sha256(b"\1" + step + new).digest()
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            new = hashlib.sha256(b"\1" + new + step).digest()
        node, last = node >> 1, last >> 1
    if last or old != root1 or new != root2:
        raise Wrong("is not the beginning of this log: it was rewritten or forked")


def beginning(archive, stem, keys, origin, size, root):
    """(bytes, how many records) of a checkpoint of this log from which the bundle's log is proven to go on."""
    raw = _bytes(archive, stem + ".note")
    claimed = raw.split(b"\n")[1:2]
    seen = int(claimed[0]) if claimed and claimed[0].isdigit() else 0
    lines = note_text(raw, [one for since, one in keys if since <= seen][-1]).split("\n")
    if lines[0] != origin or int(lines[1]) != seen:
        raise Wrong("is of another log")
    proof = [_decoded(step.decode("ascii", "replace")) for step in _bytes(archive, stem + ".proof").split()]
    check_grown(seen, size, proof, _decoded(lines[2]), root)
    return raw, seen


def check_witnesses(archive, names, keys, origin, size, root, witnesses, fault, out):
    """Each checkpoint that a witness signed is of this log and its beginning; each witness that is asked for has signed one."""
    found = {}
    for name in names:
        if not (name.startswith("witness/") and name.endswith(".note")):
            continue
        try:
            found[name] = beginning(archive, name[:-5], keys, origin, size, root)
        except (Wrong, ValueError, IndexError) as error:
            fault(f"{name}: {error}")
    for witness in witnesses:
        best = None
        for name, (raw, seen) in found.items():
            times = list[int]()
            try:
                note_text(raw, witness, times)
                best = max(best or (0, 0), (seen, times[-1]))
            except Wrong as error:
                if "does not hold" in str(error):
                    fault(f"{name}: {error}")
            except IndexError:
                fault(f"{name}: has a signature of {witness[0]} that is no witness's")
        if best is None:
            fault(f"{witness[0]} has signed no checkpoint that is in the bundle")
        else:
            when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(min(best[1], 253402300799)))
            out(f"{witness[0]} signed the first {best[0]} of the {size} records of the log at {when}")


# --- time stamps (RFC 3161): what one is over, and when; whose it is takes X.509 -----------------------

#: In DER: the identifiers of signed data (RFC 5652), of what a stamp signs (RFC 3161, section 2.4.2), of SHA-256.
_SIGNED, _STAMPED = bytes.fromhex("06092a864886f70d010702"), bytes.fromhex("060b2a864886f70d0109100104")
_SHA256 = bytes.fromhex("0609608648016503040201")


def _inside(data, at, end, tag):
    """(begin, end) of what an element of DER holds, which is of this tag (X.690, section 8.1)."""
    if at + 2 > end or data[at] != tag:
        raise Wrong("is no time stamp")
    size, at = data[at + 1], at + 2
    if size > 127:
        width = size - 128
        if not 1 <= width <= 4:
            raise Wrong("is no time stamp")
        size, at = int.from_bytes(data[at : at + width], "big"), at + width
    if at + size > end:
        raise Wrong("is no time stamp")
    return at, at + size


def _named(data, at, end, name):
    """Where the content begins and ends that stands behind its identifier, as [0] of it."""
    if data[at : at + len(name)] != name:
        raise Wrong("is no time stamp")
    return _inside(data, at + len(name), end, 0xA0)


def stamp_of(data):
    """(the SHA-256 that it is over, when, its token) of the answer of a time stamping authority (RFC 3161, section 2.4)."""
    at, end = _inside(data, 0, len(data), 0x30)
    if end != len(data):
        raise Wrong("is no time stamp")
    begin, at = _inside(data, at, end, 0x30)
    begin, stop = _inside(data, begin, at, 2)
    if data[begin:stop] != b"\0":
        raise Wrong("was not granted")
    token = data[at:end]
    at, end = _inside(data, at, end, 0x30)
    at, end = _named(data, at, end, _SIGNED)
    at, end = _inside(data, at, end, 0x30)
    for tag in (2, 0x31):
        at = _inside(data, at, end, tag)[1]
    at, end = _inside(data, at, end, 0x30)
    at, end = _named(data, at, end, _STAMPED)
    at, end = _inside(data, at, end, 4)
    at, end = _inside(data, at, end, 0x30)
    for tag in (2, 6):
        at = _inside(data, at, end, tag)[1]
    begin, at = _inside(data, at, end, 0x30)
    named, stop = _inside(data, begin, at, 0x30)
    if data[named : named + len(_SHA256)] != _SHA256:
        raise Wrong("is not over a SHA-256")
    begin, stop = _inside(data, stop, at, 4)
    digest = data[begin:stop]
    at = _inside(data, at, end, 2)[1]
    at, end = _inside(data, at, end, 0x18)
    when = data[at:end]
    if len(when) < 15 or not when[:14].isdigit() or when[-1:] != b"Z":
        raise Wrong("says no time")
    w = when.decode("ascii", "replace")
    return digest, f"{w[:4]}-{w[4:6]}-{w[6:8]}T{w[8:10]}:{w[10:12]}:{w[12:14]}Z", token


def check_stamps(archive, names, keys, origin, size, root, stamped, fault, out):
    """Each time stamp is over a checkpoint of this log from which it goes on; ``stamped`` says who made it, and Wrong."""
    for name in names:
        if not (name.startswith("stamp/") and name.endswith(".tsr")):
            continue
        try:
            raw, seen = beginning(archive, name[:-4], keys, origin, size, root)
            answer = _bytes(archive, name)
            digest, when, _ = stamp_of(answer)
            if digest != hashlib.sha256(raw).digest():
                raise Wrong("is over something else than its checkpoint")
            who = "that it is an authority's was not checked here" if stamped is None else stamped(raw, answer)
            out(f"{name}: the first {seen} of the {size} records of the log were there at {when}; {who}")
        except (Wrong, ValueError, IndexError) as error:
            fault(f"{name}: {error}")


def tile_name(level, number, width):
    """C2SP tlog-tiles."""
    groups = [f"{number % 1000:03d}"]
    while number >= 1000:
        number //= 1000
        groups.append(f"x{number % 1000:03d}")
    return f"tile/{level}/{'/'.join(reversed(groups))}" + (f".p/{width}" if width < WIDTH else "")


class Tree:
    """The tree of the bundle's tiles: a leaf is believed when its tile's hash stands in the tile above, up to the root."""

    def __init__(self, archive, size, root):
        self.archive, self.size, self.tiles, self.levels = archive, size, {}, []
        count = size
        while count:
            self.levels.append(count)
            count //= WIDTH
        # tiles that are not full are the right edge of the tree: their hashes make the root
        edge = []
        for level in reversed(range(len(self.levels))):
            count = self.levels[level]
            if count % WIDTH:
                edge += peaks_of(self._raw(level, count // WIDTH))
        if fold(edge) != root:
            raise Wrong("the tiles do not have the root that was signed")

    def _raw(self, level, number):
        width = min(WIDTH, self.levels[level] - number * WIDTH)
        name = tile_name(level, number, width)
        try:
            raw = _bytes(self.archive, name)
        except Wrong as error:
            raise Wrong(f"{name} {error}") from None
        if len(raw) != HASH * width:
            raise Wrong(f"{name} has {len(raw)} bytes")
        return [raw[n : n + HASH] for n in range(0, len(raw), HASH)]

    def tile(self, level, number):
        """The hashes of a tile that was found to be the log's."""
        found = self.tiles.get((level, number))
        if found is None:
            found = self._raw(level, number)
            if len(found) == WIDTH and self.tile(level + 1, number // WIDTH)[number % WIDTH] != fold(peaks_of(found)):
                raise Wrong(f"{tile_name(level, number, WIDTH)} is not the log's")
            self.tiles[level, number] = found
        return found


def stated(data):
    """(seq, received_ns, kind, operation, key_id, hash of the fields) of a statement."""
    if data[:4] != b"BDR2":
        raise Wrong("its statement is none")
    seq, received_ns = struct.unpack(">Qq", data[4:20])
    texts, at = [], 20
    for _ in range(3):
        size = int.from_bytes(data[at : at + 2], "big")
        texts.append(data[at + 2 : at + 2 + size].decode("utf-8", "replace"))
        at += 2 + size
    if len(data) != at + HASH:
        raise Wrong("its statement is none")
    return (seq, received_ns, *texts, data[at:])


def record_of(line):
    """(seq, statement, fields) of a line: each field is (name, salt, value), or (name, commitment) where it is withheld."""
    try:
        row = json.loads(line, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        raise Wrong("is no JSON") from None
    if not isinstance(row, dict) or list(row) != ["seq", "statement", "fields"] or not isinstance(row["fields"], list):
        raise Wrong("is no record")
    if json.dumps(row, separators=(",", ":"), ensure_ascii=True).encode() != line:
        raise Wrong("is not written as a record is")
    fields = []
    for field in row["fields"]:
        if not isinstance(field, list) or len(field) not in (2, 3) or not isinstance(field[0], str):
            raise Wrong("has a field that is none")
        fields.append((field[0], *map(_decoded, field[1:])))
    return row["seq"], _decoded(row["statement"]), fields


def names_hashed(names):
    """Names as they are hashed: a MessagePack array of texts."""
    out = [_head(len(names), 16, 0x90, (0xDC, 0xDD), (2, 4))]
    for name in names:
        try:
            text = name.encode()
        except UnicodeEncodeError:
            raise Wrong(f"has a field {ascii(name)[:40]}") from None
        out += (_head(len(text), 32, 0xA0, (0xD9, 0xDA, 0xDB), (1, 2, 4)), text)
    return b"".join(out)


def _head(size, few, small, heads, widths):
    if size < few:
        return bytes([small | size])
    n = next(n for n, width in enumerate(widths) if size < 256**width)
    return bytes([heads[n]]) + size.to_bytes(widths[n], "big")


def _once(pairs):
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a key is there twice")
    return dict(pairs)


def check_record(line, before, begins, tree):
    """(seq, fields shown, fields withheld) of a record that holds; Wrong else."""
    seq, statement, fields = record_of(line)
    said, _, _, _, _, committed = stated(statement)
    if said != seq or type(seq) is not int:
        raise Wrong("its number is another than its statement's")
    index = seq - begins
    if not 0 <= index < tree.size:
        raise Wrong("is not in the log that was signed")
    if tree.tile(0, index // WIDTH)[index % WIDTH] != leaf_of(statement):
        raise Wrong("is not the one in the log")
    if fields:  # none is shown of what was erased
        hashes = []
        for name, *rest in fields:
            if len(rest[0]) != (HASH if len(rest) == 1 else 16):
                raise Wrong(f"its field {ascii(name)[:40]} has no commitment or no salt")
            hashes.append(rest[0] if len(rest) == 1 else hashlib.sha256(rest[0] + rest[1]).digest())
        if hashlib.sha256(names_hashed([field[0] for field in fields]) + b"".join(hashes)).digest() != committed:
            raise Wrong("its fields are not those that were committed to")
    if seq <= before:
        raise Wrong(f"stands behind record {before}")
    return seq, sum(len(field) == 3 for field in fields), sum(len(field) == 2 for field in fields)


# --- all of it -------------------------------------------------------------------------------------


def verify(path, key=None, out=print, witnesses=(), stamped=None):
    """Verify a bundle; the number of faults.  Raises Refused.  ``stamped`` says who made a time stamp over some bytes."""
    try:
        size = os.path.getsize(path)
        if size > 2 * MOST_BYTES:
            raise Refused("it is too large")
        with open(path, "rb") as file:
            start = file.read(4)
        if start != b"PK\3\4":
            raise Refused("it is no zip: another file, or one that was packed again")
        archive = zipfile.ZipFile(path)
    except OSError as error:
        raise Refused(str(error.strerror)) from None
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise Refused(f"its zip is cut or damaged: {error}") from None
    with archive:
        names = names_of(archive, size)
        return _verified(path, archive, names, key, out, [key_of(text, 4) for text in witnesses], stamped)


def _verified(path, archive, names, key, out, witnesses, stamped):
    faults = 0

    def fault(words):
        nonlocal faults
        faults += 1
        out(words)

    sizes, crcs, digests = {}, {}, {}
    for name in names:
        crc, size, digest = 0, 0, hashlib.sha256()
        try:
            with archive.open(name) as file:
                file._expected_crc = None  # said below, with the file's name
                while piece := file.read(1 << 20):
                    crc, size = zlib.crc32(piece, crc), size + len(piece)
                    digest.update(piece)
        except _UNREADABLE as error:
            fault(f"{name}: cannot be read: {error}")
        sizes[name], crcs[name], digests[name] = size, crc, digest.digest()
    for wrong in (same_zip(path, names, sizes, crcs), out_of_order(names)):
        if wrong:
            fault(wrong)
    try:
        data = _bytes(archive, "bundle.json")
        manifest = json.loads(data, object_pairs_hook=_once)
        if manifest["form"] != FORM:
            raise Refused(f"bundle.json: is of form {manifest['form']!r}; this program reads form {FORM}")
        stand, own = manifest["files"], manifest["log"]["keys"][-1]["verifier"]
        begins, origin = manifest["log"]["begins"], manifest["log"]["origin"]
        if not (isinstance(stand, dict) and type(begins) is int and isinstance(origin, str) and isinstance(own, str)):
            raise TypeError
        if json.dumps(manifest, indent=1, allow_nan=False).encode() != data:
            fault("bundle.json: is not written as a manifest is")
    except Refused:
        raise
    except (ValueError, KeyError, TypeError, IndexError, Wrong, RecursionError) as error:
        fault(f"bundle.json: cannot be read: {error}")
        return _end(out, faults, 0, 0, 0, "")
    trusted, held, keys = key is not None, ("a key that is none",), []
    root = None
    try:
        held = key_of(own if key is None else key)
        keys = keys_from(held, manifest["log"]["keys"])
        note = _bytes(archive, "bundle.note")
        text = note_text(note, keys[-1][1])
        if text != f"birddog evidence bundle\n{base64.b64encode(digests['bundle.json']).decode()}\n":
            raise Wrong("is of another bundle.json")
        if note.count(b"\n") != 4:  # no file's hash covers it, so it holds its text and that one signature, and nothing else
            raise Wrong("holds more than the signature of the log")
    except (Wrong, KeyError) as error:
        fault(f"bundle.note: {error}")
    for name in sorted(set(names) | set(stand)):
        if name in ("bundle.json", "bundle.note"):
            continue
        if name not in stand:
            fault(f"{name}: was put in")
        elif name not in digests:
            fault(f"{name}: was taken out")
        elif stand[name] != digests[name].hex():
            fault(f"{name}: was changed" + (": do not use it to verify with" if name.startswith("verify") else ""))
    records = shown = withheld = 0
    try:
        if not keys:
            raise Wrong("there is no key to hold it against")
        raw = _bytes(archive, "checkpoint")
        claimed = raw.split(b"\n")[1:2]
        size = int(claimed[0]) if claimed and claimed[0].isdigit() else 0
        text = note_text(raw, [one for since, one in keys if since <= size][-1])
        lines = text.split("\n")
        if lines[0] != origin:
            raise Wrong("is of another log")
        size, root = int(lines[1]), _decoded(lines[2])
        tree = Tree(archive, size, root) if size else None
    except (Wrong, ValueError, IndexError) as error:
        fault(f"checkpoint: {error}")
        tree = None
    if tree is not None:
        check_witnesses(archive, names, keys, origin, size, root, witnesses, fault, out)
        check_stamps(archive, names, keys, origin, size, root, stamped, fault, out)
    if tree is not None and "records.jsonl" in digests:
        before, number = 0, 0
        for line in _lines(archive, "records.jsonl", fault):
            number += 1
            try:
                if not line.endswith(b"\n"):
                    raise Wrong("is cut")
                before, has, lacks = check_record(line[:-1], before, begins, tree)
                records, shown, withheld = records + 1, shown + has, withheld + lacks
            except Wrong as error:
                fault(f"record {_seq(line) or f'behind {before}'} (line {number}): {error}")
    if records + faults and manifest.get("records") != records:
        fault(f"{records} records hold; the manifest says {ascii(manifest.get('records'))[:20]}")
    return _end(out, faults, records, shown, withheld, held[0] if trusted else "")


def _lines(archive, name, fault):
    try:
        with archive.open(name) as file:
            file._expected_crc = None
            while line := file.readline(MOST_LINE):
                yield line
    except _UNREADABLE as error:
        fault(f"{name}: cannot be read: {error}")


def _bytes(archive, name):
    try:
        with archive.open(name) as file:
            file._expected_crc = None
            return file.read(MOST_LINE)
    except KeyError:
        raise Wrong("is not there") from None
    except _UNREADABLE as error:
        raise Wrong(f"cannot be read: {error}") from None


def _seq(line):
    digits = line[len(b'{"seq":') :].split(b",")[0]
    return digits.decode() if line.startswith(b'{"seq":') and digits.isdigit() and len(digits) < 20 else ""


def _end(out, faults, records, shown, withheld, name):
    out(f"{records} records hold: {shown} fields shown, {withheld} withheld; {faults} faults")
    if not name:
        out("no public key was given: what is in the bundle agrees with itself or does not; who made it is not known (--key)")
    elif not faults:
        out(f"signed by {name}")
    return faults


def _text_or_file(text):
    if os.path.isfile(text):
        with open(text, encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    return text


def main():
    """The command line."""
    parser = argparse.ArgumentParser(description="Verify an evidence bundle of Birddog.")
    parser.add_argument("bundle")
    parser.add_argument("--key", help="the log's public key, NAME+HASH+KEY, or a file that holds it")
    parser.add_argument("--witness", metavar="KEY", action="append", default=[],
                        help="the public key of a witness, or a file that holds it: that it signed the log is checked too")
    args = parser.parse_args()
    key, witnesses = args.key, [_text_or_file(text) for text in args.witness]
    if key is not None:
        key = _text_or_file(key)
    option = "--key"
    try:
        if key is not None:
            key_of(key)
        option = "--witness"
        for text in witnesses:
            key_of(text, 4)
        return 1 if verify(args.bundle, key, witnesses=witnesses) else 0
    except Wrong as error:
        print(f"{option}: {error}", file=sys.stderr)
        return 2
    except Refused as error:
        print(f"{args.bundle}: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
