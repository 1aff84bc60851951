// Places and hours, never who: cells in which something happens, each with how long somebody looked, and where to put teams.
// Asked when the fold is opened and now and then while it is; closed, nothing of it is on the map.

import { HAPPENED } from './ahead.js';
import { newest } from './order.js';
import { make, write } from './rows.js';
import { sentence } from './words.js';

const AGAIN_MS = 60000;
const $ = (id) => document.getElementById(id);
const feature = (geometry, properties) => ({ type: 'Feature', geometry, properties });
const DAYS = ['Mo', 'Tu', 'We', 'Th', 'Fr', 'Sa', 'Su'];

/** @param {number} h @returns {string} "340 h", "2.5 h" */
function hours(h) {
  return `${h < 10 ? h.toFixed(1) : Math.round(h)} h`;
}

/** @param {number} p @returns {string} "12 %", "0.4 %" */
function share(p) {
  return `${p < 0.1 ? (100 * p).toFixed(1) : Math.round(100 * p)} %`;
}

/** What the map draws: cells by how probable it is to see something there by km², counts beside the hours looked, teams. */
function features(a) {
  const most = Math.max(...a.cells.map((c) => c.per_km2_h), 1e-12);
  const label = (c, name) => feature({ type: 'Point', coordinates: [c.lon_deg, c.lat_deg] }, { name, order: -c.per_km2_h });
  const team = new Map(a.teams.map((t, i) => [`${t.lat_deg} ${t.lon_deg}`, i + 1]));
  return [...a.cells.map((c) => feature({ type: 'Polygon', coordinates: [c.ring] }, { share: c.per_km2_h / most })),
    ...a.cells.map((c) => label(c, `${team.has(`${c.lat_deg} ${c.lon_deg}`) ? `TEAM ${team.get(`${c.lat_deg} ${c.lon_deg}`)}\n` : ''}about ${c.events} × in ${hours(c.watched_h)} watched`))];
}

/** The busiest hour of the week that is shown. */
function busiest(a) {
  const h = a.hours.reduce((most, one) => (!most || one.rate_per_h > most.rate_per_h ? one : most), null);
  return h ? ` Busiest shown: ${DAYS[Math.floor(h.hour / 24)]} ${String(h.hour % 24).padStart(2, '0')}Z, about ${h.events} × in ${hours(h.exposure_h)}.` : '';
}

export class Hotspots {
  /** @param {() => import('./chart.js').Chart|null} chart */
  constructor(chart) {
    this.chart = chart;
    this.asked = 0;
    this.told = '';
    this.turn = newest();
    this.fold = $('hot-more');
    $('hot-kind').replaceChildren(...Object.entries(HAPPENED).filter(([kind]) => kind !== 'too_late').map(([kind, words]) => {
      const option = make('option', '', words);
      option.value = kind;
      return option;
    }));
    for (const id of ['hot-kind', 'hot-cell', 'hot-teams']) $(id).addEventListener('change', () => this.ask());
    this.fold.addEventListener('toggle', () => (this.fold.open ? this.ask() : this.chart()?.heat([])));
  }

  /** Asked anew now and then while it is open. */
  tick() {
    if (this.fold.open && performance.now() - this.asked > AGAIN_MS) this.ask();
  }

  async ask() {
    this.asked = performance.now();
    const wanted = this.turn();
    const query = new URLSearchParams({ kind: $('hot-kind').value, cell_m: $('hot-cell').value, teams: $('hot-teams').value || '0' });
    let answer;
    try {
      const got = await fetch(`/v1/patterns?${query}`, { headers: { Accept: 'application/json' } });
      answer = await got.json();
      if (!got.ok) answer = { why: answer.error, cells: [], hubs: [], hours: [], teams: [], suppressed: {} };
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      return; // the line is down: said above
    }
    if (!this.fold.open || !wanted()) return;
    this.draw(answer);
  }

  draw(a) {
    write($('hot-count'), `${a.cells.length}`);
    write($('hot-none'), a.why ? `None: ${sentence(a.why)}` : '');
    $('hot-none').hidden = !a.why;
    const teams = a.teams.map((t, i) => [t, `Team ${i + 1} at ${t.lat_deg.toFixed(3)}, ${t.lon_deg.toFixed(3)}: ${share(t.probability_h)} an hour to see one · about ${t.events} × in ${hours(t.watched_h)} watched`]);
    const hubs = a.hubs.slice(0, 5).map((h) => [h, `Hub of about ${h.shipments} shipments at ${h.lat_deg.toFixed(3)}, ${h.lon_deg.toFixed(3)}: about ${h.events} times within ${Math.round(h.radius_m)} m`]);
    const told = JSON.stringify([...teams, ...hubs]);
    if (this.told !== told) $('hot-list').replaceChildren(...[...teams, ...hubs].map(([at, words]) => {
      const [item, button] = [make('li'), make('button', '', words)];
      button.type = 'button';
      button.addEventListener('click', () => this.chart()?.centre(at));
      item.append(button);
      return item;
    }));
    this.told = told; // what is the same is left alone: a key may stand on it
    const hidden = Object.entries(a.suppressed ?? {}).filter(([, n]) => n).map(([what, n]) => `${n} ${what}`).join(', ');
    write($('hot-foot'), a.since ? `${a.events ? `About ${a.events}` : 'Fewer than three'} times since ${a.since.slice(0, 16).replace('T', ' ')}Z until ${a.until.slice(0, 16).replace('T', ' ')}Z in ${hours(a.exposure_h)} observed, to the nearest five${a.cut ? ' (the newest steps only)' : ''}.${busiest(a)}`
      + `${hidden ? ` Not shown, under ${a.k} shipments or not watched: ${hidden}.` : ''} Places, never persons.` : '');
    this.chart()?.heat(features(a));
  }
}
