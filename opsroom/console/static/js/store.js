// What the page knows: the rows of the picture by id, and the trails.

const TRAIL_POINTS = 1000;
const LONGEST_MS = 720 * 60000; // the longest that the page offers
const KEPT = 2000;
const LAPSES = ['coasting', 'silent', 'deleted']; // each later than the one before; times are compared as the texts that they are
const LATER = '~';

export class Store {
  constructor() {
    this.keys = {}; // the lists of rows in a frame, and the field by which a row replaces another: the first frame says
    for (const kind of ['tracks', 'alerts', 'flags', 'events', 'refused']) this[kind] = new Map();
    this.trails = new Map(); // track_id -> [{t, lat, lon, measured, n: the how manieth step that arrived}]
    this.arrived = 0;
    this.lapseAt = LATER; // when the next of the tracks that say so themselves coasts, is lost or has ended
  }

  /**
   * Take in a frame. An older row never replaces a newer one: what changed while a snapshot was read comes twice.
   * @returns {{reset: boolean, tracks: Set<string>, alerts: Set<string>, flags: Set<string>, events: Set<string>, refused: Set<string>}}
   */
  apply(frame) {
    const changed = { reset: frame.type === 'snapshot' };
    if (changed.reset) {
      this.keys = frame.keys;
      for (const kind of Object.keys(this.keys)) (this[kind] ??= new Map()).clear();
      this.trails.clear();
      this.lapseAt = LATER;
    }
    for (const [kind, key] of Object.entries(this.keys)) {
      changed[kind] = new Set();
      for (const row of frame[kind] ?? []) {
        const old = this[kind].get(row[key]);
        if (old && old.revision > row.revision) continue;
        changed[kind].add(row[key]);
        if (kind === 'tracks') this.track(row);
        else this[kind].set(row[key], row);
      }
    }
    if (frame.clock) this.lapse(frame.clock, changed.tracks ??= new Set());
    for (const point of frame.points ?? []) this.point(point);
    this.trim('alerts', (a) => a.open);
    this.trim('flags', (f) => f.dark);
    this.trim('events', () => false);
    this.trim('refused', () => false);
    return changed;
  }

  /** A page that is open for weeks keeps the newest rows (of a Map: those put in last), and those that matter. */
  trim(kind, keep) {
    const rows = this[kind];
    if (rows.size <= 2 * KEPT) return;
    for (const [id, row] of rows) {
      if (rows.size <= KEPT) return;
      if (!keep(row)) rows.delete(id);
    }
  }

  track(row) {
    if (row.status === 'deleted') {
      this.tracks.delete(row.track_id);
      this.trails.delete(row.track_id);
      return;
    }
    this.tracks.set(row.track_id, standing(row));
    const next = LAPSES.map((status) => row.lapses?.[status]).find((at) => at > row.time);
    if (next < this.lapseAt) this.lapseAt = next;
  }

  /** What nobody hears any more and is nobody's lapses by the journal's clock: no frame tells it of each (docs/http-api.md). */
  lapse(clock, changed) {
    if (clock < this.lapseAt) return;
    this.lapseAt = LATER;
    for (const [id, row] of this.tracks) {
      if (!row.lapses) continue;
      const status = LAPSES.findLast((one) => row.lapses[one] <= clock);
      if (status && LAPSES.indexOf(status) > LAPSES.indexOf(row.status)) {
        this.track({ ...row, status });
        changed.add(id);
      }
      for (const one of LAPSES) {
        if (row.lapses[one] > clock && row.lapses[one] < this.lapseAt && status !== 'deleted') this.lapseAt = row.lapses[one];
      }
    }
  }

  /**
   * A new step of a trail; late data goes in between, the same time again replaces.  What was foretold of a time after it, and
   * before the next that was measured, was foretold from one before it: that is withdrawn (docs/http-api.md).
   */
  point(p) {
    if (!this.tracks.has(p.track_id)) return;
    let trail = this.trails.get(p.track_id);
    if (!trail) this.trails.set(p.track_id, trail = []);
    const step = { ...trailStep(p), n: ++this.arrived };
    let i = trail.length;
    while (i > 0 && trail[i - 1].t >= step.t) i--;
    const old = trail[i]?.t === step.t ? trail[i] : null;
    trail.splice(i, old ? 1 : 0, step);
    if (step.measured && !old?.measured) while (trail[i + 1]?.measured === false) trail.splice(i + 1, 1);
    if (trail.length > TRAIL_POINTS) this.trails.set(p.track_id, thinned(trail));
  }

  /** The trail of a track as the server has it, and after it what arrived meanwhile: what had before, and is not there, was taken out of it. */
  history(trackId, points, stepS = 0, asked = -1) {
    if (!this.tracks.has(trackId)) return;
    const trail = points.map((p) => ({ ...trailStep(p), step: stepS * 1000 }));
    const end = trail.length ? trail.at(-1).t : -Infinity;
    this.trails.set(trackId, trail.concat((this.trails.get(trackId) ?? []).filter((p) => p.t > end && p.n > asked)));
  }

  /** Alerts that wait for a person, the gravest first, then the newest. */
  open() {
    return [...this.alerts.values()].filter((a) => a.open).sort(graver);
  }
}

/**
 * A page that stays open keeps the whole time that can be asked for, not the newest points of it: of the older ones those
 * stay that are a step apart (as the server thins, opsroom/picture_store.py).  `step` tells a thinned trail from a gap.
 */
function thinned(trail) {
  const end = trail.at(-1).t;
  const kept = trail.filter((p) => p.t >= end - LONGEST_MS);
  const step = (end - kept[0].t) / (TRAIL_POINTS / 2);
  const out = [kept[0]];
  for (const p of kept.slice(1)) if (p.t - out.at(-1).t >= step || p === kept.at(-1)) out.push({ ...p, step: Math.max(step, p.step ?? 0) });
  return out;
}

function trailStep(p) {
  return { t: Date.parse(p.time), lat: p.lat_deg, lon: p.lon_deg, measured: p.origin !== 'coast' };
}

/** Which of two places it is at. */
export const TORN = new Set(['parted', 'contradicted', 'two_places']);

/**
 * What each track is marked with: the alerts about it that wait for a person, or whose fact goes on.
 * @returns {Map<string, {open: boolean, grave: boolean, torn: boolean, kinds: string[], dark: boolean}>}
 */
export function marks(store) {
  const out = new Map();
  for (const alert of [...store.alerts.values()].sort(graver)) {
    if (!alert.track_id || !(alert.open || alert.cleared === null)) continue;
    for (const id of aboutOf(alert, true)) {
      let mark = out.get(id);
      if (!mark) out.set(id, mark = { open: false, grave: false, torn: false, kinds: [], dark: false });
      mark.open ||= alert.open;
      mark.grave ||= alert.open && alert.severity === 'critical';
      mark.torn ||= alert.open && TORN.has(alert.kind);
      mark.dark ||= alert.kind === 'dark_vessel';
      const kind = alert.kind.replaceAll('_', ' ');
      if (!mark.kinds.includes(kind)) mark.kinds.push(kind);
    }
  }
  return out;
}

/** The tracks that an alert is about: of devices that fell silent together each, or those that are silent yet. */
export function aboutOf(alert, now = false) {
  const members = alert.members ?? [];
  return members.length ? members.filter((m) => !now || m.ended === null).map((m) => m.track_id) : [alert.track_id];
}

/** The flag that began a dark vessel, where an image showed it. */
export function flagOf(store, alert) {
  return alert.flag_id ? store.flags.get(alert.flag_id) : undefined;
}

/** What a track is called: its shipment's name, else its tag, else its number. */
export function title(track) {
  return track.name || track.tag_id || track.track_id;
}

const GRAVITY = { critical: 0, warning: 1, info: 2 };

/** Order of alerts: open before seen, grave before light, new before old. */
export function graver(a, b) {
  const seen = (x) => (x.open ? 0 : 1);
  return seen(a) - seen(b) || GRAVITY[a.severity] - GRAVITY[b.severity] || (a.began < b.began ? 1 : -1);
}

/** What a warrant has ended stands where it was measured last, on the map and in the list: where it is by now nobody may know. */
function standing(row) {
  return row.kept ? { ...row, ...row.kept, rival: null, speed_mps: 0, ve_mps: 0, vn_mps: 0 } : row;
}

/**
 * Why nothing of a track is kept any more where its warrant has ended: it is not lost, and nobody looks for it.
 * @returns {string} "warrant expired", "no warrant"; "" where it is heard, or may be
 */
export function unwarranted(track) {
  if (!track.authority || !['coasting', 'silent'].includes(track.status)) return '';
  const { state } = track.authority;
  if (state === 'none') return 'no warrant';
  return ['expired', 'revoked', 'installed_late'].includes(state) ? `warrant ${state.replaceAll('_', ' ')}` : '';
}
