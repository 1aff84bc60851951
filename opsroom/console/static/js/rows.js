// The lists of tracks, flags and refusals: the keyboard's twin of the map.  Each row is made once and then only its
// words change.  The alerts' list is in alerts.js.

import { awayM } from './ellipse.js';
import { icon, SHAPES } from './shapes.js';
import { marks, title, unwarranted } from './store.js';
import { age, metres, often, plain } from './words.js';

/** @param {string} tag @param {string} [className] @param {string} [text] set as text, never as markup */
export function make(tag, className = '', text = '') {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text) node.textContent = text;
  return node;
}

/** Set a node's text only where it differs: a screen reader and the layout are left in peace. */
export function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Put children in an order without taking the focus from one that has it. */
export function arrange(list, nodes) {
  const focused = document.activeElement;
  let moved = false;
  nodes.forEach((node, i) => {
    if (list.children[i] !== node) {
      list.insertBefore(node, list.children[i] ?? null);
      moved = true;
    }
  });
  if (moved && focused !== document.activeElement && list.contains(focused)) focused.focus({ preventScroll: true });
}

const SHOWN = 200; // rows of a list; beyond them the search finds what is wanted
const UNHEARD = 20; // of devices that were never heard so many stand before the tracks of which nothing grave is known
/** What a track's place in the list depends on, beside its alerts. */
const key = (track) => `${track.status === 'tentative'} ${title(track)}`;
const WAITS = 1;
/** How much an alarm weighs in the list: that one waits, that it is open which of two places it is at, that it is critical. */
const weight = (mark) => (mark?.grave ? 3 : mark?.torn ? 2 : mark?.open ? WAITS : 0);
const WORDS = { confirmed: 'confirmed', tentative: 'tentative', coasting: 'coasting', silent: 'SILENT' };
const natural = new Intl.Collator('en', { numeric: true });

export class TrackList {
  /** @param {{store: import('./store.js').Store, now: () => number|null, choose: (kind: string, id: string) => void}} room */
  constructor(room) {
    this.room = room;
    this.rows = new Map();
    this.search = '';
    this.operation = '';
    this.list = document.getElementById('tracks-list');
    this.count = document.getElementById('tracks-count');
    this.none = document.getElementById('tracks-none');
    this.more = document.getElementById('tracks-more');
    this.chosen = '';
    this.sorted = null; // ids of all tracks in order; null when that has to be found again
    this.keys = new Map();
    this.marked = new Map();
    this.unheard = []; // devices of /v1/devices?waiting=1: there is no track that could say that nothing is heard
    this.unheardItems = new Map();
    this.unheardMore = make('li', 'none');
  }

  /** The devices that were attached and not heard since, anew. */
  waiting(devices) {
    if (!devices.length && !this.unheard.length) return;
    this.unheard = devices;
    this.order();
    this.tick();
  }

  /** Their rows, in front of the tracks but those that are worse; they have no place, and go with what the server says. */
  unheardRows() {
    const fit = this.unheard.filter((d) => (!this.operation || d.operation === this.operation) && this.found(
      [d.shipment, d.device, d.name, d.class, d.operation, d.never_heard ? 'never heard' : 'not admitted refused']));
    const old = this.unheardItems;
    this.unheardItems = new Map();
    const items = fit.slice(0, UNHEARD).map((device) => {
      const one = old.get(device.device) ?? unheardItem(device.device);
      one.since = Date.parse(device.attached);
      one.device = device;
      write(one.name, plain(device.shipment));
      write(one.klass, plain(device.name || device.device));
      one.row.title = plain(device.device);
      this.unheardItems.set(device.device, one);
      old.delete(device.device);
      return one.item;
    });
    for (const one of old.values()) one.item.remove();
    write(this.unheardMore, `and ${fit.length - UNHEARD} more that are not heard; search to see them`);
    if (fit.length > UNHEARD) items.push(this.unheardMore);
    else this.unheardMore.remove();
    document.body.dataset.unheard = String(fit.length);
    return { items, count: fit.length, never: fit.filter((d) => d.never_heard).length };
  }

  row(id) {
    let row = this.rows.get(id);
    if (row) return row;
    const item = make('li');
    const button = make('button', 'row');
    button.type = 'button';
    button.dataset.trackId = id;
    button.setAttribute('aria-pressed', 'false');
    row = { item, button };
    for (const name of ['shape', 'name', 'klass', 'status', 'plus', 'or', 'ages', 'alert']) {
      row[name] = make('span', name);
      button.append(row[name], ' '); // spaces, so that the row's words do not run together when it is read out
    }
    button.addEventListener('click', () => this.room.choose('track', id));
    item.append(button);
    this.rows.set(id, row);
    return row;
  }

  /** Take in a frame; only the rows that are shown are made. */
  update(changed) {
    const { store } = this.room;
    let again = changed.reset || changed.alerts.size > 0;
    for (const id of changed.reset ? store.tracks.keys() : changed.tracks) {
      const track = store.tracks.get(id);
      again ||= this.keys.get(id) !== (track && key(track));
      if (track && this.rows.has(id)) this.draw(track);
    }
    if (again) {
      this.sorted = null;
      this.order();
    }
    this.tick();
  }

  draw(track) {
    const row = this.row(track.track_id);
    if (row.button.dataset.status !== track.status) {
      row.button.dataset.status = track.status;
      row.shape.replaceChildren(icon(track.status));
    }
    row.button.dataset.lat = track.lat_deg;
    row.button.dataset.lon = track.lon_deg;
    write(row.name, plain(title(track)));
    write(row.klass, plain(track.class));
    const why = unwarranted(track);
    write(row.status, why || (WORDS[track.status] ?? track.status));
    row.status.title = why && 'nothing that it says is kept; where it was measured last';
    write(row.plus, `±${metres(track.ellipse95.major_m)}`);
    row.plus.title = 'half the longest axis of the 95 % ellipse';
    write(row.or, track.rival ? `or ${metres(awayM(track, track.rival))} away` : '');
    row.or.title = 'how far away its second place is';
  }

  /**
   * Every track, gravely alarmed ones first, then those of which it is open which of two places they are at, then alarmed
   * ones, then by name; sorted anew only when a name or an alarm has changed.
   */
  all() {
    if (this.sorted) return this.sorted;
    const { store } = this.room;
    this.marked = marks(store);
    const waits = (track) => weight(this.marked.get(track.track_id));
    this.keys = new Map([...store.tracks.values()].map((track) => [track.track_id, key(track)]));
    this.sorted = [...store.tracks.values()].map((track) => [waits(track), track.status === 'tentative', title(track), track.track_id])
      .sort((a, b) => (b[0] - a[0]) || (a[1] - b[1]) || natural.compare(a[2], b[2]) || (a[3] < b[3] ? -1 : 1)).map((row) => row[3]);
    return this.sorted;
  }

  /** Show the first rows that fit the search; the page stays quick however many there are, and says how many more. */
  order() {
    const { store } = this.room;
    const all = this.all();
    const fit = all.filter((id) => this.matches(store.tracks.get(id)));
    const ids = fit.slice(0, SHOWN);
    if (this.chosen && !ids.includes(this.chosen) && fit.includes(this.chosen)) ids.push(this.chosen);
    const kept = new Set(ids);
    for (const [id, row] of this.rows) {
      if (kept.has(id)) continue;
      const focused = document.activeElement === row.button;
      const next = focused ? this.near(row.button, 1) ?? this.near(row.button, -1) : null;
      row.item.remove();
      this.rows.delete(id);
      if (focused) (next ?? document.getElementById('alerts-title')).focus();
    }
    for (const id of ids) {
      if (!this.rows.has(id)) this.draw(store.tracks.get(id));
      const row = this.rows.get(id);
      const mark = this.marked.get(id);
      write(row.alert, mark ? `${mark.open ? '! ' : ''}${mark.kinds.join(', ')}${mark.open ? '' : ' (seen)'}` : '');
      row.button.classList.toggle('alarmed', Boolean(mark?.open));
      row.button.setAttribute('aria-pressed', String(id === this.chosen));
    }
    const unheard = this.unheardRows();
    const item = (id) => this.rows.get(id).item;
    const worse = (id) => weight(this.marked.get(id)) > WAITS;
    arrange(this.list, [...ids.filter(worse).map(item), ...unheard.items, ...ids.filter((id) => !worse(id)).map(item)]);
    document.body.dataset.tracks = String(fit.length);
    const count = fit.length === all.length ? `${all.length}` : `${fit.length} of ${all.length}`;
    write(this.count, unheard.never ? `${count}, and ${unheard.never} never heard` : count);
    this.none.hidden = fit.length + unheard.count > 0;
    write(this.none, all.length ? 'No track fits the search.' : 'No tracks yet.');
    this.more.hidden = fit.length <= ids.length;
    write(this.more, `and ${fit.length - ids.length} more; search to see them`);
  }

  matches(track) {
    if (this.operation && track.operation !== this.operation) return false;
    return this.found([track.name, track.track_id, track.tag_id, track.class, track.status, track.operation, ...track.identities]);
  }

  /** Whether every word that is searched for is in these. */
  found(texts) {
    if (!this.search) return true;
    const text = texts.join(' ').toLowerCase();
    return this.search.toLowerCase().split(/\s+/).every((word) => text.includes(word));
  }

  /** Ages go on counting whether anything arrives or not. */
  tick() {
    const now = this.room.now();
    if (now === null) return;
    for (const one of this.unheardItems.values()) write(one.ages, unheardWords(one.device, (now - one.since) / 1000));
    for (const [id, row] of this.rows) {
      const track = this.room.store.tracks.get(id);
      if (!track || row.item.hidden) continue;
      const since = (iso) => age((now - Date.parse(iso)) / 1000);
      write(row.ages, `contact ${since(track.last_contact)} · fix ${since(track.last_fix)} · move ${track.last_move ? since(track.last_move) : 'never'}`);
    }
  }

  select(id) {
    this.chosen = id;
    if (id && !this.rows.has(id)) this.order();
    for (const [other, row] of this.rows) row.button.setAttribute('aria-pressed', String(other === id));
    this.rows.get(id)?.item.scrollIntoView({ block: 'nearest' });
  }

  /** The button so many visible rows on. */
  near(button, step) {
    const shown = [...this.list.querySelectorAll('li:not([hidden]) > button')];
    const at = shown.indexOf(button);
    if (at < 0) return shown[step > 0 ? 0 : shown.length - 1];
    return shown[at + step];
  }
}

/** A row of a device that was attached and not heard since: no button, there is nothing to centre on. */
function unheardItem(device) {
  const item = make('li');
  const row = make('div', 'row unheard');
  row.dataset.device = device;
  const one = { item, row };
  const box = make('span', 'shape-box');
  box.append(icon('unheard'));
  row.append(box, ' ');
  for (const name of ['name', 'klass', 'ages']) {
    one[name] = make('span', name);
    row.append(one[name], ' ');
  }
  item.append(row);
  return one;
}

/** @returns {string} "never heard, attached 1 min ago, expected every 5 s" */
function unheardWords(device, seconds) {
  const attached = `attached ${age(seconds)} ago`;
  if (device.never_heard) return `never heard, ${attached}, expected every ${often(device.expected_s)}`;
  return `heard and refused (${plain(device.not_admitted)}): nothing of what it says is kept, ${attached}`;
}

/** A plain list under a heading that opens: flags, refusals. */
export class MoreList {
  /**
   * @param {string} name
   * @param {{tell: (row: object) => {id: string, shape?: string, image?: string, words: string[]}, count?: (row: object) => number,
   *          last: (rows: object[]) => string, choose?: (id: string) => void}} how `last` stands beside the count
   */
  constructor(name, { tell, count, last, choose }) {
    this.tell = tell;
    this.choose = choose;
    this.sum = count ?? (() => 1);
    this.lastWords = last;
    this.rows = [];
    this.last = document.getElementById(`${name}-last`);
    this.list = document.getElementById(`${name}-list`);
    this.count = document.getElementById(`${name}-count`);
    this.name = name;
  }

  update(rows) {
    this.rows = rows;
    write(this.count, String(rows.reduce((sum, row) => sum + this.sum(row), 0)));
    this.tick();
    document.body.dataset[this.name] = String(rows.length);
    const old = new Map([...this.list.children].map((item) => [item.dataset.key, item]));
    const items = rows.slice(0, SHOWN).map((row) => {
      const { id, shape, image, words } = this.tell(row);
      const item = old.get(id) ?? this.item(id, image);
      const body = item.firstChild;
      if (shape && body.dataset.shape !== shape) {
        body.dataset.shape = shape;
        body.querySelector('.shape-box').replaceChildren(icon(shape));
      }
      write(body.querySelector('.words'), words.filter(Boolean).join(' · '));
      old.delete(id);
      return item;
    });
    for (const item of old.values()) item.remove();
    if (rows.length > SHOWN) items.push(make('li', 'none', `and ${rows.length - SHOWN} more`));
    arrange(this.list, items);
  }

  /** What stands beside the count may hold an age. */
  tick() {
    write(this.last, this.rows.length ? this.lastWords(this.rows) : '');
  }

  item(id, image) {
    const item = make('li');
    item.dataset.key = id;
    const body = make(this.choose ? 'button' : 'div', 'row small');
    if (this.choose) {
      body.type = 'button';
      body.dataset.flagId = id;
      body.addEventListener('click', () => this.choose(id));
    }
    body.append(make('span', 'shape-box'), ' ', make('span', 'words'));
    if (image) {
      const chip = make('img', 'chip');
      chip.alt = '';
      chip.loading = 'lazy'; // asked for when the list is opened
      chip.addEventListener('error', () => chip.remove()); // 204: the scan made none
      chip.src = image;
      body.append(chip);
    }
    item.append(body);
    return item;
  }
}

/** Fill the legend from the shapes themselves. */
export function legend(list, samples) {
  for (const shape of Object.keys(SHAPES)) {
    const item = make('li');
    item.append(icon(shape), ` ${SHAPES[shape].word}`);
    list.append(item);
  }
  for (const [node, words] of samples) {
    const item = make('li');
    item.append(node, ` ${words}`);
    list.append(item);
  }
}
