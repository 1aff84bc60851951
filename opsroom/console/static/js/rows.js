// The lists of tracks, flags and refusals: the keyboard's twin of the map.  Each row is made once and then only its
// words change.  The alerts' list is in alerts.js.

import { icon, SHAPES } from './shapes.js';
import { marks, title } from './store.js';
import { age, metres, plain } from './words.js';

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
    for (const name of ['shape', 'name', 'klass', 'status', 'plus', 'ages', 'alert']) {
      row[name] = make('span', name);
      button.append(row[name], ' '); // spaces, so that the row's words do not run together when it is read out
    }
    button.addEventListener('click', () => this.room.choose('track', id));
    item.append(button);
    this.rows.set(id, row);
    return row;
  }

  /** Make, change and remove rows after a frame. */
  update(changed) {
    const { store } = this.room;
    for (const [id, row] of this.rows) {
      if (!store.tracks.has(id)) {
        const focused = document.activeElement === row.button;
        const next = focused ? this.near(row.button, 1) ?? this.near(row.button, -1) : null;
        row.item.remove();
        this.rows.delete(id);
        if (focused) (next ?? document.getElementById('alerts-title')).focus();
      }
    }
    for (const id of changed.reset ? store.tracks.keys() : changed.tracks) if (store.tracks.has(id)) this.draw(store.tracks.get(id));
    if (changed.reset || changed.tracks.size || changed.alerts.size) this.order();
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
    write(row.status, WORDS[track.status] ?? track.status);
    write(row.plus, `±${metres(track.ellipse95.major_m)}`);
    row.plus.title = 'half the longest axis of the 95 % ellipse';
  }

  /** Alarmed first, then by name; hidden rows stay in the list's memory. */
  order() {
    const { store } = this.room;
    const marked = marks(store);
    const waits = (track) => Number(marked.get(track.track_id)?.open ?? false);
    const tracks = [...store.tracks.values()].sort((a, b) => (waits(b) - waits(a)) ||
      ((a.status === 'tentative') - (b.status === 'tentative')) ||
      natural.compare(title(a), title(b)) || (a.track_id < b.track_id ? -1 : 1));
    const shown = [];
    for (const track of tracks) {
      const row = this.rows.get(track.track_id);
      if (!row) continue;
      const mark = marked.get(track.track_id);
      write(row.alert, mark ? `${mark.open ? '! ' : ''}${mark.kinds.join(', ')}${mark.open ? '' : ' (seen)'}` : '');
      row.button.classList.toggle('alarmed', Boolean(mark?.open));
      row.item.hidden = !this.matches(track);
      if (!row.item.hidden) shown.push(row);
    }
    arrange(this.list, tracks.map((t) => this.rows.get(t.track_id)?.item).filter(Boolean));
    document.body.dataset.tracks = String(shown.length);
    write(this.count, shown.length === tracks.length ? `${tracks.length}` : `${shown.length} of ${tracks.length}`);
    this.none.hidden = shown.length > 0;
    write(this.none, tracks.length ? 'No track fits the search.' : 'No tracks yet.');
  }

  matches(track) {
    if (this.operation && track.operation !== this.operation) return false;
    if (!this.search) return true;
    const text = [track.name, track.track_id, track.tag_id, track.class, track.status, track.operation, ...track.identities].join(' ').toLowerCase();
    return this.search.toLowerCase().split(/\s+/).every((word) => text.includes(word));
  }

  /** Ages go on counting whether anything arrives or not. */
  tick() {
    const now = this.room.now();
    if (now === null) return;
    for (const [id, row] of this.rows) {
      const track = this.room.store.tracks.get(id);
      if (!track || row.item.hidden) continue;
      const since = (iso) => age((now - Date.parse(iso)) / 1000);
      write(row.ages, `contact ${since(track.last_contact)} · fix ${since(track.last_fix)} · move ${track.last_move ? since(track.last_move) : 'never'}`);
    }
  }

  select(id) {
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
    const items = rows.slice(0, 200).map((row) => {
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
