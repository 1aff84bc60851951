// The panel of what is selected: a track, a flag, or an alert that is about no track.

import { awayM } from './ellipse.js';
import { newest } from './order.js';
import { make, write } from './rows.js';
import { flagOf, marks, title } from './store.js';
import { age, clock, metres, motion, plain, position, sentence, stamp } from './words.js';

/** So many tracks are offered as the same thing. */
const CHOICES = 40;
/** So many of what was decided are told of; of what stands, all. */
const DECIDED = 5;

/** Under which warrant it is followed, and until when. */
const words = (a) => (a.warrant ? `${plain(a.warrant)}: ${a.state}, until ${stamp(a.until)}` : 'NONE: nothing of it is kept');

export class Detail {
  /** @param {{store: import('./store.js').Store, now: () => number|null, place: (device: string) => string, decide: (what: object) => void, decided: (row: object) => void, fail: (words: string) => void}} room */
  constructor(room) {
    this.room = room;
    this.kind = '';
    this.id = '';
    this.panel = document.getElementById('detail');
    this.title = document.getElementById('detail-title');
    this.facts = document.getElementById('detail-facts');
    this.rest = document.getElementById('detail-rest');
    this.image = document.getElementById('detail-image');
    this.follow = document.getElementById('detail-follow');
    this.imageOf = '';
    this.whyOf = '';
    this.asked = newest();
    this.decide = document.getElementById('detail-decide');
    this.older = { id: '', events: [] }; // what was decided of the selected track before what the page has
    this.sent = new Set(); // decisions of this page's person of which nothing is heard yet
    const on = (id, what) => document.getElementById(id).addEventListener('click', () => this.kind === 'track' && this.row() && what(this.row()));
    const format = document.getElementById('detail-export');
    format.addEventListener('change', () => {
      const name = format.value;
      format.value = '';
      if (!name || this.kind !== 'track' || !this.row()) return;
      const link = make('a');
      const by = document.getElementById('watch').value.trim();
      link.href = `/v1/export/${name}?track=${encodeURIComponent(this.id)}${by ? `&by=${encodeURIComponent(by)}` : ''}`;
      link.download = '';
      link.click();
    });
    on('detail-false', (t) => this.ask(t, 'Is this fix false?', `the fix at ${stamp(t.last_fix)} of ${title(t)} never was`, { action: 'false_fix', time: t.last_fix }));
    on('detail-here', (t) => this.ask(t, 'Is it there?', `${title(t)} is at its second place${t.rival.device ? `, where ${plain(t.rival.device)} has it` : ''}: ${position(t.rival.lat_deg, t.rival.lon_deg)}`, { action: 'take_over' }));
    on('detail-dark', (t) => this.ask(t, 'Is it a dark vessel?', `${title(t)} is a dark vessel`, { action: 'confirm_dark' }));
    on('detail-light', (t) => this.ask(t, 'Is it none?', `${title(t)} is no dark vessel, and is not told of again`, { action: 'dismiss_dark' }));
    on('detail-why', (t) => this.why(t));
    const choose = (id, what) => document.getElementById(id).addEventListener('change', (event) => {
      const [t, value] = [this.kind === 'track' && this.row(), event.target.value];
      event.target.value = '';
      if (t && value) what(t, value);
    });
    choose('detail-other', (t, other) => {
      const it = title(this.room.store.tracks.get(other) ?? { track_id: other });
      if (t.tag_id) this.ask(t, 'Are these one?', `${it} is ${title(t)}: what feeds it feeds this track from now on`, { action: 'merge', other });
      else this.ask(t, 'Is this that shipment?', `the contact ${title(t)} is ${it}`, { action: 'identify', other });
    });
    choose('detail-device', (t, device) => this.ask(t, 'Does it go its own way?', `${device} is not with ${title(t)} any more`, { action: 'split', device }));
  }

  ask(t, heading, words, decision) {
    this.room.decide({
      title: heading,
      words: plain(words),
      decision: { subject: t.track_id, ...decision },
      told: (id) => {
        this.sent.add(id);
        if (decision.action === 'undo') this.sent.add(`undo ${decision.subject}`); // so it is told where it came to something
        this.heard(this.room.store.events.keys());
      },
    });
  }

  /** Say loudly where a decision of this page's person came to nothing; what was decided stands in the panel, and the map goes with it. */
  heard(ids) {
    let decided = false;
    for (const id of ids) {
      const e = this.room.store.events.get(id);
      if (!e?.kind.startsWith('decided')) continue;
      decided = true;
      if (!this.sent.delete(e.about)) continue;
      if (e.kind === 'decided_nothing') this.room.fail(`Not done: ${plain(e.text)}`);
      else if (this.kind === 'track' && e.track_ids[0] === this.id) this.room.decided(this.row());
    }
    if (decided && this.kind === 'track') this.draw();
  }

  /** What was decided of a track, by anybody, the newest first; what stands can be undone. */
  decisions(t) {
    const list = document.getElementById('detail-decisions');
    const all = new Map([...(this.older.id === t.track_id ? this.older.events : []), ...this.room.store.events.values()]
      .filter((e) => e.kind.startsWith('decided') && e.track_ids.includes(t.track_id)).map((e) => [e.event_id, e]));
    const told = [...all.values()].sort((a, b) => b.revision - a.revision);
    const undone = new Set(told.filter((e) => e.about.startsWith('undo ')).map((e) => e.about.slice(5)));
    const stands = (e) => e.kind === 'decided' && !e.about.startsWith('undo ') && !undone.has(e.about);
    const shown = told.filter((e, nth) => nth < DECIDED || stands(e));
    const key = JSON.stringify(shown.map((e) => [e.event_id, stands(e)]));
    list.hidden = shown.length === 0;
    if (list.dataset.key === key) return;
    list.dataset.key = key;
    list.replaceChildren(...shown.map((e) => {
      const item = make('li', '', `${clock(e.start)} ${e.kind === 'decided' ? '' : 'NOT DONE: '}${plain(e.text)}${undone.has(e.about) ? ' (undone)' : ''} `);
      if (stands(e)) {
        const undo = make('button', 'undo', 'Undo');
        undo.type = 'button';
        undo.dataset.decision = e.about;
        undo.setAttribute('aria-label', `Undo ${e.about}`);
        undo.addEventListener('click', () => this.ask(t, 'Undo this?', `no longer: ${e.text}`, { action: 'undo', subject: e.about }));
        item.append(undo);
      }
      return item;
    }));
  }

  /** What was decided of a track long ago; the page has the newest events only. */
  async remember(id) {
    this.older = { id, events: [] };
    const answer = await fetch(`/v1/events?kind=decided,decided_nothing&track=${encodeURIComponent(id)}`).catch(() => null);
    const found = answer?.ok ? await answer.json().catch(() => null) : null;
    if (!found || this.older.id !== id) return;
    this.older = { id, events: found.events };
    if (this.kind === 'track' && this.id === id) this.draw();
  }

  show(kind, id) {
    if (id !== this.id) this.unexplain();
    this.kind = kind;
    this.id = id;
    if (kind === 'track' && this.older.id !== id) this.remember(id);
    this.draw();
  }

  hide() {
    this.kind = this.id = '';
    this.unexplain();
    this.panel.hidden = true;
    this.picture('', '');
  }

  /** The row that is shown, or undefined. */
  row() {
    return { track: this.room.store.tracks, flag: this.room.store.flags, alert: this.room.store.alerts }[this.kind]?.get(this.id);
  }

  draw() {
    if (!this.kind) return;
    const row = this.row();
    this.panel.hidden = false;
    this.panel.dataset.kind = this.kind;
    this.panel.dataset.id = this.id;
    this.follow.hidden = this.kind !== 'track';
    this.decide.hidden = this.kind !== 'track' || !row;
    if (this.kind === 'track' && row) {
      document.getElementById('detail-here').hidden = !row.rival?.hits;
      this.choices(row);
      this.decisions(row);
    } else {
      document.getElementById('detail-decisions').hidden = true;
    }
    if (!row) {
      this.tell([['state', 'no longer in the picture']]);
      return;
    }
    if (this.kind === 'track') this.track(row);
    else if (this.kind === 'flag') this.flag(row);
    else this.alert(row);
  }

  /** What may be decided of whose measurements these are. */
  choices(t) {
    const dark = !t.tag_id && [...this.room.store.alerts.values()].some((a) => a.kind === 'dark_vessel' && a.track_id === t.track_id);
    document.getElementById('detail-false').hidden = !t.tag_id;
    document.getElementById('detail-dark').hidden = !dark || t.attributes.dark === 'confirmed';
    document.getElementById('detail-light').hidden = !dark || t.attributes.dark === 'dismissed';
    const others = [...this.room.store.tracks.values()].filter(
      (o) => o.tag_id && o.track_id !== t.track_id && o.operation === t.operation && o.status !== 'deleted');
    // the nearest ones; a list that is open is left alone
    const near = others.map((o) => [awayM(o, t), o]).sort((a, b) => a[0] - b[0]).slice(0, CHOICES).map(([, o]) => [o.track_id, plain(title(o))]);
    this.choice('detail-same', 'detail-other', t.status === 'deleted' ? [] : near);
    this.choice('detail-part', 'detail-device', t.identities.length > 1 ? t.identities.map((name) => [name, plain(name)]) : []);
  }

  choice(label, id, options) {
    const list = document.getElementById(id);
    document.getElementById(label).hidden = options.length === 0;
    const key = JSON.stringify(options);
    if (list.dataset.key === key || document.activeElement === list) return;
    list.dataset.key = key;
    list.replaceChildren(...[['', '…'], ...options].map(([value, words]) => {
      const one = make('option', '', words);
      one.value = value;
      return one;
    }));
  }

  /** The reasons for where a track is, as the journal has them now; asked for once a click. */
  async why(t) {
    const button = document.getElementById('detail-why');
    const list = document.getElementById('detail-reasons');
    if (this.whyOf === t.track_id) {
      this.unexplain();
      return;
    }
    this.whyOf = t.track_id;
    button.setAttribute('aria-expanded', 'true');
    list.hidden = false;
    const wanted = this.asked();
    const say = (facts) => this.whyOf === t.track_id && wanted() && list.replaceChildren(...facts.flatMap(([name, value]) => [make('dt', '', name), make('dd', '', plain(value))]));
    say([['why', 'reading the journal …']]);
    const answer = await fetch(`/v1/tracks/${encodeURIComponent(t.track_id)}/explain`).catch(() => null);
    const found = answer && (await answer.json().catch(() => null));
    if (!answer?.ok || !found) {
      say([['why', `not explained: ${found?.error ?? 'the line is down'}`]]);
      return;
    }
    const times = (n) => `${n} time${n === 1 ? '' : 's'}`;
    say([
      ['used', `${times(found.used.length)}, of ${[...new Set(found.used.map((m) => m.device))].join(', ')}`],
      ...found.refused.slice(-5).reverse().map((m) => ['not used', `${stamp(m.time)} ${m.device}: ${m.reason ?? m.outcome}${m.nis === null || m.reason?.includes('NIS') ? '' : ` (NIS ${Number(m.nis.toPrecision(3))})`}`]),
      ...found.hypotheses.slice(1).map((h) => ['or', `${h.what}${h.away_m === undefined ? '' : `, ${metres(h.away_m)} off`}${h.hits === undefined ? '' : `, ${times(h.hits)} of ${h.takes_over_at}`}`]),
      ['drawn by', found.way && [found.way.drawn_by, ...found.way.holds.map((h) => `${h.what}, ${metres(h.away_m)} off`)].join(' · ')],
      ['it moves like', found.models.slice(0, 3).map((m) => `${m.model} ${Math.round(100 * m.weight)} %`).join(' · ')],
      ['program', `${found.version}, entry ${found.entries}`],
    ].filter(([, value]) => value));
  }

  unexplain() {
    this.whyOf = '';
    document.getElementById('detail-why').setAttribute('aria-expanded', 'false');
    document.getElementById('detail-reasons').hidden = true;
  }

  ago(iso) {
    const now = this.room.now();
    return now === null ? stamp(iso) : `${stamp(iso)}, ${age((now - Date.parse(iso)) / 1000)} ago`;
  }

  alert(a) {
    const kind = a.kind.replaceAll('_', ' ');
    write(this.title, a.members?.length ? `${a.members.length} devices · ${kind} together` : `${plain(this.room.place(a.device))} · ${kind}`);
    const flag = flagOf(this.room.store, a);
    this.picture(flag?.flag_id ?? '', flag?.thumbnail ?? '');
    this.tell([
      ['state', `${a.severity}, ${a.open ? 'waits for somebody to acknowledge it' : 'closed'}`],
      ['raised', this.ago(a.raised) + (a.time_source === 'server' ? ' (our time: its own says none)' : '')],
      ['over since', a.cleared ? this.ago(a.cleared) : ''],
      ['acknowledged', a.acknowledged ? `by ${plain(a.acknowledged_by)}, ${stamp(a.acknowledged)}` : ''],
      ['what', a.text === kind ? '' : sentence(a.text)],
      ['position', a.lat_deg === null ? 'none' : position(a.lat_deg, a.lon_deg)],
      ['operation', plain(a.operation)],
      ['device', a.members?.length ? '' : plain(a.device)],
      ['silent', this.members(a, false)],
      ['heard again', this.members(a, true)],
      ['alert id', plain(a.alert_id)],
    ]);
  }

  /** Of devices that fell silent together those that are heard again, or are not, by name, each with its time. */
  members(a, ended) {
    return (a.members ?? []).filter((m) => (m.ended !== null) === ended).map((m) => {
      const track = this.room.store.tracks.get(m.track_id);
      return `${plain(track ? title(track) : m.device)} ${clock(ended ? m.ended : m.began)}`;
    }).join(' · ');
  }

  track(t) {
    const ago = (iso) => (iso ? this.ago(iso) : 'never seen moving');
    const e = t.ellipse95;
    write(this.title, plain(title(t)));
    const { store } = this.room;
    const mark = marks(store).get(t.track_id);
    // a dark vessel is known by the image in which it was found
    const found = mark?.dark ? [...store.alerts.values()].find((a) => a.kind === 'dark_vessel' && a.track_id === t.track_id) : null;
    const flag = found && flagOf(store, found);
    this.picture(flag?.flag_id ?? '', flag?.thumbnail ?? '');
    const more = Object.entries(t.attributes).map(([k, v]) => `${plain(k)} ${plain(v)}`).join(' · ');
    this.tell([
      ['state', `${t.status === 'silent' ? 'SILENT' : t.status}${t.class ? `, ${plain(t.class)}` : ''}`],
      ['alerts', mark ? mark.kinds.join(', ') + (mark.open ? '' : ' (seen)') : ''],
      ['or is it here?', !t.rival ? '' : !t.rival.hits ? `${position(t.rival.lat_deg, t.rival.lon_deg)}: by what was read beside it (${plain(t.rival.device)})`
        : `${position(t.rival.lat_deg, t.rival.lon_deg)}: ${t.rival.hits} fix${t.rival.hits === 1 ? '' : 'es'} in a row that do not fit${t.rival.device ? `, of ${plain(t.rival.device)}` : ''}`],
      [t.kept ? 'last kept' : 'position', position(t.lat_deg, t.lon_deg)],
      ['as of', ago(t.time)],
      ['95 % ellipse', e.minor_m > 0.97 * e.major_m ? `circle, radius ${metres(e.major_m)}`
        : `${metres(e.major_m)} × ${metres(e.minor_m)} (half axes), long axis ${String(Math.round(e.azimuth_deg)).padStart(3, '0')}°`],
      ['motion', t.kept ? 'nobody may know' : motion(t.speed_mps, t.course_deg)],
      ['last fix', ago(t.last_fix)],
    ], [
      ['last contact', ago(t.last_contact)],
      ['last move', ago(t.last_move)],
      ['operation', plain(t.operation)],
      ['authority', t.authority ? words(t.authority) : ''],
      ['identities', t.identities.map(plain).join(' · ')],
      ['measured', `${t.hits} times since ${stamp(t.first_seen)}${t.refused ? `, ${t.refused} refused as outliers` : ''}`],
      ['sources', t.sources.map(plain).join(' · ')],
      ['reported', more],
      ['track id', plain(t.track_id)],
    ]);
  }

  flag(f) {
    write(this.title, f.dark ? 'Dark: seen in an image, no track near' : 'Seen in an image');
    this.picture(f.flag_id, f.thumbnail);
    this.tell([
      ['position', f.lat_deg === null ? 'not georeferenced' : position(f.lat_deg, f.lon_deg)],
      ['seen', f.time_source === 'server' ? `not known; taken for ${stamp(f.time)} (${plain(f.time_by)})` : this.ago(f.time)],
      ['length', f.length_m === null ? '' : metres(f.length_m)],
      ['score', `${Number(f.score.toPrecision(3))} (${plain(f.detector)}, false-alarm rate ${f.pfa})`],
      ['sensor', plain(f.sensor)],
      ['scene', plain(f.scene_name)],
      ['scene hash', f.scene_sha256.slice(0, 16)],
      ['flag id', plain(f.flag_id)],
    ]);
  }

  /** Facts above what happened and what is expected; `rest` below: where it is and how old that is stands in sight. */
  tell(facts, rest = []) {
    for (const [list, told] of [[this.facts, facts], [this.rest, rest]]) {
      const shown = told.filter(([, value]) => value);
      if (list.children.length !== shown.length * 2) list.replaceChildren(...shown.flatMap(() => [make('dt'), make('dd')]));
      shown.forEach(([name, value], i) => {
        write(list.children[2 * i], name);
        write(list.children[2 * i + 1], value);
      });
    }
  }

  async picture(id, url) {
    if (this.imageOf === id) return;
    this.imageOf = id;
    if (this.image.src) URL.revokeObjectURL(this.image.src);
    this.image.hidden = true;
    this.image.removeAttribute('src');
    if (!id) return;
    const answer = await fetch(url).catch(() => null); // the line is down: said above
    if (answer?.status !== 200 || this.imageOf !== id) return; // 204: the scan made none
    const image = await answer.blob();
    if (this.imageOf !== id) return; // another one was chosen while the bytes came
    this.image.src = URL.createObjectURL(image);
    this.image.alt = 'The image where the object was seen';
    this.image.hidden = false;
  }
}
