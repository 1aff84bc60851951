// Where the selected track can be met, and what to ask for next: both on request, both guesses that say how probable they are.

import { newest } from './order.js';
import { make, write } from './rows.js';
import { title } from './store.js';
import { clock, plain } from './words.js';

const AGAIN_MS = 60000;
const $ = (id) => document.getElementById(id);
const LOOKS = { wake_tag: 'Wake its tag', task_tile: 'A picture of the place', ask_partner: 'Ask a partner' };

/** @returns {Promise<object|null>} the answer; null: the line is down, which is said above */
async function ask(path) {
  try {
    const got = await fetch(path, { headers: { Accept: 'application/json' } });
    const answer = await got.json();
    return got.ok ? answer : { why: answer.error };
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    return null;
  }
}

/** Nothing that is guessed is sure. @param {number} p @returns {string} "62 %", "over 99 %" */
function likely(p) {
  return p > 0.99 ? 'over 99 %' : `${Math.round(100 * p)} %`;
}

/** @param {number} km2 @returns {string} "0.3 km²", "120 km²" */
function area(km2) {
  return `${km2 < 10 ? km2.toFixed(1) : Math.round(km2)} km²`;
}

export class Meet {
  /** @param {{store: import('./store.js').Store}} room @param {() => import('./chart.js').Chart|null} chart */
  constructor(room, chart) {
    this.room = room;
    this.chart = chart;
    this.id = '';
    this.asked = 0;
    this.looked = newest();
    this.met = newest();
    for (const id of ['meet-unit', 'meet-medium']) $(id).addEventListener('change', () => this.meet());
  }

  /** Another track is selected, or none (''). */
  select(id) {
    this.id = id;
    this.asked = 0;
    this.units();
    this.met(); // what was asked of the track before is no longer wanted
    $('meet-list').replaceChildren();
    $('look-list').replaceChildren();
    this.chart()?.meet([]);
    this.tick();
  }

  /** Who can be sent: nobody yet, whoever stands at the middle of the map, any other track. */
  units() {
    const others = [...this.room.store.tracks.values()].filter((t) => t.track_id !== this.id && t.status !== 'deleted');
    $('meet-unit').replaceChildren(...[['', 'nobody yet'], ['here', 'the middle of the map'], ...others.map((t) => [t.track_id, plain(title(t))])].map(([value, words]) => {
      const option = make('option', '', words);
      option.value = value;
      return option;
    }));
  }

  /** Asked anew now and then while the track is selected. */
  tick() {
    if (!this.id || (this.asked && performance.now() - this.asked < AGAIN_MS)) return;
    this.asked = performance.now();
    this.look();
    this.meet();
  }

  async look() {
    const { id } = this;
    const wanted = this.looked();
    const a = await ask(`/v1/looks?track=${encodeURIComponent(id)}`);
    if (!a || this.id !== id || !wanted()) return;
    const rows = (a.looks ?? []).map((x, i) => make('li', '', `${i + 1}. ${LOOKS[x.look]}: where it may be in an hour (90 %) shrinks from ${area(x.before_km2)} to about ${area(x.after_km2)}`
      + ` · ${Math.round(100 * x.told)} % likely to tell, after ${x.lead_min} min · cost ${x.cost} (waking a tag is 1)`));
    const barred = (a.barred ?? []).map((x) => make('li', 'quiet', `not allowed: ${LOOKS[x.look].toLowerCase()} (${plain(x.why)})`));
    if (a.guess && rows.length) rows.push(make('li', 'quiet', 'These areas are a guess: too little of the past is known so far ahead.'));
    $('look-list').replaceChildren(...rows, ...(rows.length || !a.why ? [] : [make('li', 'quiet', `None: ${plain(a.why)}`)]), ...barred);
  }

  async meet() {
    const { id } = this;
    const wanted = this.met();
    const unit = $('meet-unit').value;
    if (!id || !unit) {
      $('meet-list').replaceChildren();
      this.chart()?.meet([]);
      return;
    }
    const middle = this.chart()?.middle();
    const from = unit === 'here' ? { lat: middle?.lat ?? 0, lon: middle ? ((((middle.lng + 180) % 360) + 360) % 360) - 180 : 0 } : { unit };
    const a = await ask(`/v1/intercept?${new URLSearchParams({ track: id, medium: $('meet-medium').value, ...from })}`);
    if (!a || this.id !== id || !wanted()) return;
    const found = a.meetings ?? [];
    $('meet-list').replaceChildren(...found.map((m, i) => make('li', '', `${i + 1}. ${likely(m.probability)} at ${m.place ? plain(m.place) : `${m.lat_deg.toFixed(3)}, ${m.lon_deg.toFixed(3)}`}`
      + ` · it comes ${clock(m.track_p50)} (${clock(m.track_p10)} to ${clock(m.track_p90)}), the unit ${clock(m.unit_p50)}`)),
    ...(found.length && !found[0].used ? [make('li', 'quiet', 'No past track went on from here: along its straight way, with a wide guess.')] : []),
    ...(found.length ? [] : [make('li', 'quiet', `None: ${plain(a.why ?? '')}`)]));
    this.chart()?.meet(found.map((m, i) => ({ type: 'Feature', geometry: { type: 'Point', coordinates: [m.lon_deg, m.lat_deg] },
      properties: { name: `meet ${i + 1}: ${likely(m.probability)}\n${m.track_p50.slice(11, 16)}Z` } })));
    write($('say-soon'), found.length ? `${found.length} places to meet it` : '');
  }
}
