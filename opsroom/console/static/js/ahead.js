// What is expected of the selected track, and what happened to it: said in the panel, drawn on the map as what it is.
// A forecast is never drawn like something measured: dotted, in a colour of its own, with the word.

import { newest } from './order.js';
import { make, write } from './rows.js';
import { title } from './store.js';
import { age, clock, hour, metres, plain, sentence } from './words.js';

const AGAIN_MS = 30000;
/** What several fixes together mean (docs/events.md); the fold's own events are alerts or stand in the panel already. */
export const HAPPENED = { stop: 'stop', encounter: 'encounter', loiter: 'loitering', gap: 'silence', cotravel: 'travels with', split: 'split of',
  visit: 'visits', portal: 'passes', border: 'crosses a border', lane_stop: 'stops in a lane', deviation: 'off the usual way', too_late: 'came too late' };

/** @param {number} minutes @returns {string} "15 min", "4 h" */
function ahead(minutes) {
  return minutes < 60 ? `${minutes} min` : `${+(minutes / 60).toFixed(1)} h`;
}

/** Whether an event is of this kind, and whose it is. */
function ofTrack(store, id) {
  return [...store.events.values()].filter((e) => e.kind in HAPPENED && !e.withdrawn && (!id || e.track_ids.includes(id)))
    .sort((a, b) => (a.start < b.start ? 1 : -1));
}

/** The rows of the list of what happened, the newest first. */
export function happened(store, operation) {
  return ofTrack(store, '').filter((e) => !operation || e.operation === operation);
}

/** How the list tells of one. @returns {{id: string, words: string[]}} */
export function tell(store, e) {
  const names = e.track_ids.map((id) => plain(store.tracks.has(id) ? title(store.tracks.get(id)) : id)).join(' and ');
  return { id: e.event_id, shape: 'happened', words: [clock(e.start), HAPPENED[e.kind], names, plain(e.text), e.end ? 'over' : 'goes on',
    e.corrections.length ? `corrected ${e.corrections.length} ×` : '', e.confidence === null ? '' : `observed ${Math.round(e.confidence * 100)} %`] };
}

const feature = (geometry, properties) => ({ type: 'Feature', geometry, properties });
const point = (x, name, id) => feature({ type: 'Point', coordinates: [x.lon_deg, x.lat_deg] }, { id, name, place: x.place === undefined ? '' : plain(x.place) });

/**
 * What the map draws of an answer: regions by level, each outline with its words, the points, the expected arrivals.
 * `near`: 1 of the soonest horizon, towards 0 of the last, which is drawn faintest.
 */
function features(a, now) {
  const all = a?.forecasts ?? [];
  const regions = all.flatMap((f, nth) => f.regions.flatMap((r) => r.polygons.map((coordinates, i) => feature({ type: 'Polygon', coordinates },
    { id: `${f.horizon_min} ${r.level} ${i}`, level: r.level, near: 1 - nth / all.length, name: `in ${ahead(f.horizon_min)}: ${Math.round(100 * r.level)} %` }))));
  return [...regions, ...all.map((f) => point(f, `forecast ${ahead(f.horizon_min)}`, `at ${f.horizon_min}`)),
    ...(a?.arrivals ?? []).map((x) => point(x, `${plain(x.place)}\n${x.overdue ? `was due ${hour(x.due, now)}` : `expected ${hour(x.p50, now)}`}`, `to ${x.place}`))];
}

export class Ahead {
  /** @param {{store: import('./store.js').Store, now: () => number|null}} room @param {() => import('./chart.js').Chart|null} chart */
  constructor(room, chart) {
    this.room = room;
    this.chart = chart;
    this.id = '';
    this.asked = 0;
    this.answer = null;
    this.turn = newest();
    this.box = document.getElementById('detail-ahead');
    this.list = document.getElementById('ahead-list');
    this.none = document.getElementById('ahead-none');
    this.foot = document.getElementById('ahead-foot');
    this.past = document.getElementById('detail-happened');
    this.whole = document.getElementById('ahead-fit');
    this.whole.addEventListener('click', () => this.chart()?.show(features(this.answer, this.room.now()), this.room.store.tracks.get(this.id)));
  }

  /** Another track is selected, or none (''). */
  select(id) {
    this.id = id;
    this.answer = null;
    this.asked = 0;
    this.draw();
    this.tick();
  }

  /** Asked anew now and then while the track is selected: what is expected moves on. */
  async tick() {
    if (!this.id || performance.now() - this.asked < AGAIN_MS && this.asked) return;
    this.asked = performance.now();
    const { id } = this;
    const wanted = this.turn();
    let answer = null;
    try {
      const got = await fetch(`/v1/forecasts?track=${encodeURIComponent(id)}`, { headers: { Accept: 'application/json' } });
      answer = await got.json();
      if (!got.ok) answer = { why: answer.error, forecasts: [], arrivals: [] };
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      return; // the line is down: said above
    }
    if (this.id !== id || !wanted()) return;
    this.answer = answer;
    this.draw();
  }

  draw() {
    this.box.hidden = !this.id;
    const events = this.id ? ofTrack(this.room.store, this.id) : [];
    this.past.replaceChildren(...events.slice(0, 8).map((e) => make('li', e.end ? '' : 'now', tell(this.room.store, e).words.filter((w, i) => w && i !== 2).join(' · '))));
    this.past.hidden = !events.length;
    const a = this.answer;
    write(this.none, !a ? 'asked for …' : a.why ? `None: ${sentence(a.why)}` : '');
    this.none.hidden = !this.none.textContent;
    this.list.replaceChildren(...(a?.forecasts ?? []).flatMap((f) => [make('dt', '', `in ${ahead(f.horizon_min)}`), said(this.words(f))]),
      ...(a?.arrivals ?? []).flatMap((x) => [make('dt', '', `at ${plain(x.place)}`), said(this.arrival(x))]));
    this.whole.hidden = !a?.forecasts.length;
    write(this.foot, a?.archive ? `Learned from ${a.archive.tracks} past tracks until ${a.archive.last.slice(0, 16).replace('T', ' ')} · ${plain(a.model)}${a.known ? ` · counted from its last fix, ${clock(a.known.last)}` : ''}` : '');
    document.body.dataset.ahead = a ? `${a.forecasts.length}` : '';
    this.chart()?.foresee(features(a, this.room.now()), events.filter((e) => e.lat_deg !== null).map((e) => point(e, `${e.kind} ${e.start.slice(11, 16)}Z`, e.event_id)));
  }

  /** Of a forecast: what it says, and how good such were so far. */
  words(f) {
    const b = f.backtest;
    const was = b ? `so far: ${metres(b.mean_error_m)} off on average, ${Math.round(b.held_90 * 100)} % of ${b.outcomes} inside the 90 % area` : 'not tried often enough to say how good';
    // what has grown worse is shouted, what has grown better is said
    const times = b?.drifted ? `${b.lately_times.toFixed(1)} × as far off as before` : '';
    const drift = !times ? '' : b.lately_times > 1 ? ` · LATELY ${times.toUpperCase()}` : ` · lately ${times}`;
    const own = f.own ? ` · this track: ${metres(f.own.error_m)} off, ${f.own.in_90 ? 'inside' : 'OUTSIDE'} the 90 % area` : '';
    const guess = f.outcomes === 0 ? 'WIDTH IS A GUESS · ' : '';
    return [`${guess}50 % within ${metres(f.r50_m)}, 90 % within ${metres(f.r90_m)}`, `${was}${drift}${own}`];
  }

  /** Of an arrival: when, if it goes there, and what that rests on. */
  arrival(x) {
    const now = this.room.now();
    if (x.overdue) return [`was due by ${hour(x.due, now)} and was not heard since`, 'there by now, elsewhere, or held up'];
    const left = now === null ? '' : `, in ${age(Math.max(0, Date.parse(x.p50) - now) / 1000)}`;
    const rests = !x.used ? 'no past track went there from here: the straight way at its own speed'
      : x.outcomes ? `as wide as ${x.outcomes} past arrivals say` : 'WIDTH IS A GUESS: too few past arrivals';
    return [`${hour(x.p50, now)}${left}, if it goes there; between ${hour(x.p10, now)} and ${hour(x.p90, now)} with 80 %`, rests];
  }
}

/** What is expected, and below it, smaller, what that is worth. */
function said([words, worth]) {
  const node = make('dd', '', words);
  node.append(' ', make('span', 'worth', worth));
  return node;
}
