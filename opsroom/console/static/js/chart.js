// The map: layers are made once, then only their sources change, at most twice a second.
// Over 400 lines: the style, and what fills the sources that it names, are one subject.

import * as maplibre from '/static/vendor/maplibre-gl/maplibre-gl.mjs';
import { ring, unroll } from './ellipse.js';
import { SHAPES, image } from './shapes.js';
import { marks, title, unwarranted } from './store.js';
import { around } from './view.js';
import { plain, position } from './words.js';

const FLUSH_MS = 500;
const SETTLE_MS = 5000;
const GAP = 4; // a step longer than so many usual ones is drawn as a guess
const ALL_TRAILS = 200; // with more tracks than this only the selected one has a trail
const ALL_NAMES = 100; // with more tracks than this a name without an alert gives way where there is no room for it
const FONT = ['sans-serif'];
const SOURCES = ['areas', 'grid', 'hotspots', 'meet', 'ahead', 'happened', 'ellipses', 'trails', 'rivals', 'places', 'flags', 'tracks', 'chosen'];
const COLOUR = ['match', ['get', 'shape'], ...Object.entries(SHAPES).flatMap(([k, v]) => [k, v.colour]), '#7ee2a8'];

maplibre.setWorkerUrl('/static/vendor/maplibre-gl/maplibre-gl-worker.mjs');
maplibre.setWorkerCount(1);

// names stand beside the symbols, the tools in the upper left corner
const FIT = { padding: innerWidth > 820 ? { top: 90, bottom: 60, left: 110, right: 110 } : { top: 70, bottom: 40, left: 60, right: 70 }, maxZoom: 14, duration: 0 };

const nothing = () => ({ type: 'FeatureCollection', features: [] });

// A name looks for room round its symbol: first behind what moves, clear of its chevron.
const ROOM = { left: [1.1, 0], right: [-1.1, 0], top: [0, 1], bottom: [0, -1], 'top-left': [0.9, 0.7], 'bottom-left': [0.9, -0.7],
  'top-right': [-0.9, 0.7], 'bottom-right': [-0.9, -0.7] };
// where there is none so near, further off, clear of the neighbours' symbols: rather than over another name
const FURTHER = [['left', [2.7, 0]], ['right', [-2.7, 0]], ['top', [0, 2.3]], ['bottom', [0, -2.3]], ['top-left', [1.4, 1.8]], ['bottom-right', [-1.4, -1.8]]];
const anchors = (...order) => ['literal', [...[...order, ...Object.keys(ROOM).filter((k) => !order.includes(k))].flatMap((k) => [k, ROOM[k]]), ...FURTHER.flat()]];

function style() {
  const sources = {
    land: { type: 'geojson', data: '/static/basemap/countries-50m.geojson' },
    cities: { type: 'geojson', data: '/static/basemap/places.geojson' },
  };
  for (const name of SOURCES) sources[name] = { type: 'geojson', data: nothing(), promoteId: 'id', tolerance: 0 };
  const label = (more) => ({ 'text-font': FONT, 'text-size': 12, ...more });
  const name = (overlap) => label({ 'text-overlap': overlap, 'symbol-sort-key': ['get', 'order'], 'text-justify': 'auto', 'text-padding': 1,
    'text-variable-anchor-offset': ['case', ['get', 'east'], anchors('right', 'left'), anchors('left', 'right')],
    'text-field': ['format', ['get', 'name'], {}, ['get', 'note'], { 'font-scale': 0.9, 'text-color': ['to-color', ['get', 'noteColour']] }] });
  const halo = { 'text-halo-color': '#070b10', 'text-halo-width': 1.6 };
  return {
    version: 8,
    sources,
    layers: [
      { id: 'sea', type: 'background', paint: { 'background-color': '#08141f' } },
      { id: 'land', type: 'fill', source: 'land', paint: { 'fill-color': '#1e2a33', 'fill-antialias': false } },
      { id: 'borders', type: 'line', source: 'land', paint: { 'line-color': '#4a5f70', 'line-width': 1 } },
      { id: 'grid', type: 'line', source: 'grid', paint: { 'line-color': '#2a3a48', 'line-width': 0.7 } },
      { id: 'grid-label', type: 'symbol', source: 'grid', layout: label({ 'text-field': ['get', 'name'], 'text-size': 10, 'symbol-placement': 'line',
        'symbol-spacing': 600 }), paint: { ...halo, 'text-color': '#71879a' } },
      { id: 'zones', type: 'line', source: 'areas', filter: ['==', ['get', 'zone'], true], paint: { 'line-color': '#7db7e8', 'line-width': 1.4 } },
      { id: 'zones-label', type: 'symbol', source: 'areas', filter: ['==', ['geometry-type'], 'Point'], minzoom: 8, layout: label({ 'text-field': ['get', 'name'], 'text-size': 11,
        'text-variable-anchor': ['top', 'bottom', 'left', 'right'], 'text-radial-offset': 0.8 }), paint: { ...halo, 'text-color': '#9dc7ec' } },
      { id: 'areas', type: 'line', source: 'areas', filter: ['!', ['has', 'zone']], paint: { 'line-color': '#7db7e8', 'line-width': 1.4, 'line-dasharray': [6, 3], 'line-opacity': 0.8 } },
      { id: 'areas-label', type: 'symbol', source: 'areas', filter: ['!', ['has', 'zone']], layout: label({ 'text-field': ['get', 'name'], 'text-size': 11, 'symbol-placement': 'line',
        'text-offset': [0, 0.9] }), paint: { ...halo, 'text-color': '#9dc7ec' } },
      { id: 'cities', type: 'symbol', source: 'cities', filter: ['>=', ['get', 'population'], ['step', ['zoom'], 5e6, 3, 2e6, 5, 5e5, 7, 0]], layout: label({ 'text-field': ['get', 'name'], 'text-size': 11,
        'symbol-sort-key': ['-', 0, ['get', 'population']], 'text-padding': 12 }), paint: { ...halo, 'text-color': '#8fa2b3' } },
      // what is not measured: dotted, in a colour of its own
      { id: 'hotspots', type: 'fill', source: 'hotspots', filter: ['==', ['geometry-type'], 'Polygon'], paint: { 'fill-color': '#ffb454', 'fill-opacity': ['+', 0.05, ['*', 0.4, ['get', 'share']]] } },
      { id: 'hotspots-line', type: 'line', source: 'hotspots', filter: ['==', ['geometry-type'], 'Polygon'], paint: { 'line-color': '#ffb454', 'line-width': 1, 'line-opacity': 0.6 } },
      { id: 'hotspots-label', type: 'symbol', source: 'hotspots', filter: ['==', ['geometry-type'], 'Point'], layout: label({ 'text-field': ['get', 'name'], 'text-size': 11,
        'text-variable-anchor': ['center', 'top', 'bottom', 'left', 'right'], 'text-radial-offset': 1.2, 'symbol-sort-key': ['get', 'order'] }), paint: { ...halo, 'text-color': '#ffd9a0' } },
      { id: 'ahead', type: 'fill', source: 'ahead', filter: ['==', ['geometry-type'], 'Polygon'], paint: { 'fill-color': '#e38cff', 'fill-opacity': ['case', ['==', ['get', 'level'], 0.5], 0.12, 0.05] } },
      { id: 'ahead-line', type: 'line', source: 'ahead', filter: ['==', ['geometry-type'], 'Polygon'], paint: { 'line-color': '#e38cff', 'line-dasharray': [1, 2],
        'line-width': ['case', ['==', ['get', 'level'], 0.5], 2, 1.2], 'line-opacity': ['+', 0.4, ['*', 0.6, ['get', 'near']]] } },
      { id: 'ahead-edge', type: 'symbol', source: 'ahead', filter: ['==', ['geometry-type'], 'Polygon'], layout: label({ 'text-field': ['get', 'name'], 'text-size': 11,
        'symbol-placement': 'line', 'symbol-spacing': 320, 'text-padding': 6 }), paint: { ...halo, 'text-color': '#f2c6ff' } },
      { id: 'ahead-point', type: 'circle', source: 'ahead', filter: ['==', ['geometry-type'], 'Point'], paint: { 'circle-radius': 3, 'circle-color': '#1a0f20',
        'circle-stroke-color': '#e38cff', 'circle-stroke-width': 1.5 } },
      { id: 'ahead-label', type: 'symbol', source: 'ahead', filter: ['==', ['geometry-type'], 'Point'], layout: label({ 'text-field': ['get', 'name'], 'text-size': 11,
        'text-variable-anchor': ['top', 'bottom', 'right', 'left'], 'text-radial-offset': 0.7, 'text-max-width': 14 }), paint: { ...halo, 'text-color': '#f2c6ff' } },
      { id: 'meet', type: 'circle', source: 'meet', paint: { 'circle-radius': 7, 'circle-color': 'rgba(0,0,0,0)', 'circle-stroke-color': '#8ff0ff', 'circle-stroke-width': 2 } },
      { id: 'meet-label', type: 'symbol', source: 'meet', layout: label({ 'text-field': ['get', 'name'], 'text-size': 11, 'text-variable-anchor': ['top', 'bottom', 'left', 'right'],
        'text-radial-offset': 0.9 }), paint: { ...halo, 'text-color': '#8ff0ff' } },
      // of what a warrant ended, which nobody looks for, the edge alone
      { id: 'ellipses', type: 'fill', source: 'ellipses', filter: ['!', ['get', 'ended']], paint: { 'fill-color': COLOUR, 'fill-opacity': ['match', ['get', 'shape'], ['coasting', 'silent'], 0.07, 0.14] } },
      { id: 'ellipses-line', type: 'line', source: 'ellipses', paint: { 'line-color': COLOUR, 'line-width': 1.4, 'line-opacity': ['case', ['get', 'ended'], 0.35, 0.9] } },
      { id: 'trails-guess', type: 'line', source: 'trails', filter: ['==', ['get', 'measured'], false],
        paint: { 'line-color': '#ffc857', 'line-width': 1.6, 'line-dasharray': [2, 2], 'line-opacity': 0.9 } },
      { id: 'trails', type: 'line', source: 'trails', filter: ['==', ['get', 'measured'], true],
        layout: { 'line-join': 'round', 'line-cap': 'round' }, paint: { 'line-color': '#58b98a', 'line-width': 2, 'line-opacity': 0.9 } },
      { id: 'rivals-line', type: 'line', source: 'rivals', paint: { 'line-color': '#ff8f85', 'line-width': 1.4, 'line-dasharray': [1, 3], 'line-opacity': 0.9 } },
      { id: 'rivals', type: 'symbol', source: 'rivals', filter: ['==', ['geometry-type'], 'Point'], layout: label({ 'icon-image': 'rival',
        'icon-size': 0.75, 'icon-allow-overlap': true, 'text-field': ['get', 'name'], 'text-size': 11, 'text-offset': [0, 1.3], 'text-anchor': 'top',
        'text-optional': true }), paint: { ...halo, 'text-color': '#ffc9c4' } },
      { id: 'places', type: 'symbol', source: 'places', layout: label({ 'icon-image': 'place', 'icon-size': 0.7, 'icon-allow-overlap': true,
        'text-field': ['get', 'name'], 'text-size': 11, 'text-offset': [0, 1.2], 'text-anchor': 'top', 'text-optional': true }),
      paint: { ...halo, 'text-color': '#9dc7ec' } },
      { id: 'happened', type: 'symbol', source: 'happened', layout: label({ 'icon-image': 'happened', 'icon-size': 0.6, 'icon-allow-overlap': true,
        'text-field': ['get', 'name'], 'text-size': 11, 'text-offset': [0, -1.1], 'text-anchor': 'bottom', 'text-optional': true }),
      paint: { ...halo, 'text-color': '#ffd9a0' } },
      { id: 'flags', type: 'symbol', source: 'flags', layout: { 'icon-image': ['get', 'shape'], 'icon-size': ['case', ['==', ['get', 'shape'], 'dark'], 0.8, 0.5],
        'icon-allow-overlap': true }, paint: { 'icon-opacity': ['case', ['==', ['get', 'shape'], 'dark'], 1, 0.75] } },
      // symbols above names: what is higher finds its room first, so that a name avoids every symbol
      { id: 'names', type: 'symbol', source: 'tracks', filter: ['!', ['get', 'kept']], layout: name('never'), paint: { ...halo, 'text-color': '#eef4f9' } },
      { id: 'names-kept', type: 'symbol', source: 'tracks', filter: ['get', 'kept'], layout: name('always'), paint: { ...halo, 'text-color': '#eef4f9' } },
      { id: 'dark', type: 'symbol', source: 'tracks', filter: ['get', 'dark'], layout: { 'icon-image': 'darkring', 'icon-size': 1.15, 'icon-allow-overlap': true,
        'icon-ignore-placement': true } },
      { id: 'chosen', type: 'circle', source: 'chosen', paint: { 'circle-radius': 17, 'circle-color': 'rgba(0,0,0,0)',
        'circle-stroke-color': '#5cc8ff', 'circle-stroke-width': 2.5 } },
      { id: 'heading', type: 'symbol', source: 'tracks', filter: ['==', ['get', 'moving'], true], layout: { 'icon-image': 'heading',
        'icon-rotate': ['get', 'course'], 'icon-rotation-alignment': 'map', 'icon-offset': [0, -29], 'icon-size': 0.62, 'icon-allow-overlap': true } }, // a name avoids it: "crate-7" was read as "rate-7"
      { id: 'tracks', type: 'symbol', source: 'tracks', layout: { 'icon-image': ['get', 'shape'], 'icon-size': 0.75, 'icon-allow-overlap': true,
        'symbol-sort-key': ['get', 'order'] } },
    ],
  };
}

export class Chart {
  /** @param {{store: import('./store.js').Store, choose: (kind: string, id: string) => void, unfollow: () => void}} room */
  constructor(room) {
    this.room = room;
    this.operation = '';
    this.chosen = '';
    this.dirty = { tracks: new Set(), flags: new Set(), all: false };
    this.whole = { trails: new Map() };
    this.drawn = { tracks: new Set(), flags: new Set() };
    this.rivals = new Set(); // features drawn of second places
    this.touched = false; // a person has moved the map: from then on it stays where they put it
    this.timer = 0;
    this.last = 0;
    this.ready = new Promise((resolve, reject) => {
      try {
        const bounds = this.bounds();
        const view = bounds ? { bounds, fitBoundsOptions: FIT } : { center: [10, 30], zoom: 1.5 };
        this.map = new maplibre.Map({ ...view, container: 'map', style: style(), attributionControl: false, fadeDuration: 0,
          maxPitch: 0, dragRotate: false, pitchWithRotate: false, touchPitch: false, maxZoom: 18, renderWorldCopies: true });
      } catch (error) {
        reject(error);
        return;
      }
      this.map.on('style.load', () => {
        const ratio = Math.max(2, Math.ceil(devicePixelRatio));
        for (const name of [...Object.keys(SHAPES), 'heading', 'darkring', 'rival', 'happened']) this.map.addImage(name, image(name, ratio), { pixelRatio: ratio });
      });
      this.map.once('load', () => resolve(this.map));
      // a broken context or worker is said on the page; the list goes on working without the map
      this.map.on('error', (event) => reject(event.error ?? new Error('the map failed')));
    });
    if (!this.map) return;
    this.map.touchZoomRotate.disableRotation();
    this.map.addControl(new maplibre.NavigationControl({ showCompass: false }), 'top-right');
    this.map.addControl(new maplibre.ScaleControl({ maxWidth: 120 }), 'bottom-left');
    this.map.on('click', (event) => this.click(event));
    this.map.on('dragstart', () => room.unfollow());
    this.map.on('movestart', (event) => {
      if (event.originalEvent) this.touched = true;
    });
    this.map.on('mousemove', (event) => {
      document.getElementById('pointer').textContent = position(event.lngLat.lat, event.lngLat.wrap().lng);
    });
    this.ready.then(() => {
      this.map.getCanvas().setAttribute('aria-label', 'Map of the tracks; the list beside it holds the same, by keyboard');
      this.map.on('moveend', () => this.grid());
      this.grid();
      this.change({ reset: true, tracks: new Set(), flags: new Set() });
    }, () => {});
  }

  click(event) {
    const { x, y } = event.point;
    const hits = this.map.queryRenderedFeatures([[x - 8, y - 8], [x + 8, y + 8]], { layers: ['tracks', 'rivals', 'flags'] });
    if (hits.length) this.room.choose(hits[0].layer.id === 'flags' ? 'flag' : 'track', String(hits[0].properties.track ?? hits[0].properties.id));
  }

  /** Note what changed; drawn within half a second. */
  change(changed) {
    if (changed.reset) this.dirty.all = true;
    for (const kind of ['tracks', 'flags']) for (const id of changed[kind] ?? []) this.dirty[kind].add(id);
    if (!this.timer) this.timer = setTimeout(() => this.flush(), Math.max(0, FLUSH_MS - (performance.now() - this.last)));
  }

  async flush() {
    try {
      await this.ready;
    } catch {
      return; // said on the page by whoever waits for ready
    }
    this.last = performance.now();
    const { store } = this.room;
    if (this.dirty.all) {
      this.dirty.all = false;
      for (const kind of ['tracks', 'flags']) {
        for (const id of this.drawn[kind]) this.dirty[kind].add(id);
        for (const id of store[kind].keys()) this.dirty[kind].add(id);
      }
    }
    const tracks = [...this.dirty.tracks];
    const flags = [...this.dirty.flags];
    this.dirty.tracks.clear();
    this.dirty.flags.clear();
    this.marks = marks(store);
    this.keepAll = store.tracks.size <= ALL_NAMES;
    // where alarms are that many, only the critical ones keep their names: of hundreds over each other none can be read
    this.keepAlarmed = [...this.marks.values()].filter((mark) => mark.open).length <= ALL_NAMES;
    // a look that found a track that was known is of interest as long as its trail
    for (const id of this.drawn.flags) if (!flags.includes(id) && !this.recent(store.flags.get(id))) flags.push(id);
    const seen = tracks.filter((id) => this.visible(store.tracks.get(id)));
    const diffs = {
      tracks: this.diff('tracks', tracks, seen.map((id) => this.point(store.tracks.get(id)))),
      ellipses: this.diff('tracks', tracks, seen.map((id) => this.ellipse(store.tracks.get(id)))),
      trails: this.trailDiff(tracks, seen),
      rivals: { remove: tracks.flatMap((id) => [`${id} r`, `${id} rl`]).filter((id) => this.rivals.delete(id)),
        add: seen.filter((id) => store.tracks.get(id).rival).flatMap((id) => this.rival(store.tracks.get(id))) },
      flags: this.diff('flags', flags, flags.map((id) => store.flags.get(id)).filter((f) => this.recent(f)).map(flagPoint)),
    };
    for (const [kind, ids, kept] of [['tracks', tracks, seen], ['flags', flags, flags.filter((id) => this.recent(store.flags.get(id)))]]) {
      for (const id of ids) this.drawn[kind].delete(id);
      for (const id of kept) this.drawn[kind].add(id);
    }
    this.mark();
    await Promise.all(Object.entries(diffs).filter(([, diff]) => diff.add.length || diff.remove.length)
      .map(([name, diff]) => this.put(name, diff)));
    this.fit(false);
    await this.settled();
    document.body.dataset.drawn = String(this.drawn.tracks.size);
    document.body.dataset.flush = String(Number(document.body.dataset.flush ?? 0) + 1);
    this.timer = 0;
    if (this.dirty.all || this.dirty.tracks.size || this.dirty.flags.size) this.change({});
  }

  visible(track) {
    // 0, 0 is where a broken receiver is, not a shipment
    return Boolean(track) && (!this.operation || track.operation === this.operation) && !(track.lat_deg === 0 && track.lon_deg === 0);
  }

  /** updateData draws anew only the tiles that it thinks touched; of lines over several tiles it misses some (6.17): those whole. */
  put(name, diff) {
    const whole = this.whole[name];
    if (!whole) return this.map.getSource(name).updateData(diff);
    for (const id of diff.remove) whole.delete(id);
    for (const one of diff.add) whole.set(one.properties.id, one);
    return this.map.getSource(name).setData({ type: 'FeatureCollection', features: [...whole.values()] });
  }

  /** Until what changed is drawn: on a slow machine a tile that is asked for again before it came never comes. */
  async settled() {
    const end = performance.now() + SETTLE_MS;
    while (!(this.map.areTilesLoaded() && this.map.isSourceLoaded('trails')) && performance.now() < end) await new Promise((resolve) => { setTimeout(resolve, 50); });
  }

  recent(flag) {
    return Boolean(flag) && flag.lat_deg !== null && (flag.dark || flag.flag_id === this.chosen || Date.parse(flag.time) >= this.since());
  }

  diff(kind, ids, features) {
    const kept = new Set(features.map((f) => f.properties.id));
    return { remove: ids.filter((id) => !kept.has(id) && this.drawn[kind].has(id)), add: features };
  }

  point(track) {
    const mark = this.marks.get(track.track_id);
    const silent = track.status === 'silent';
    const words = [...new Set([...(silent ? ['silent'] : []), ...(mark?.open ? mark.kinds : mark?.dark ? ['dark vessel'] : [])])];
    const moving = track.speed_mps >= 0.5 && track.status === 'confirmed';
    return feature({ type: 'Point', coordinates: [track.lon_deg, track.lat_deg] }, { id: track.track_id, shape: track.status,
      name: plain(title(track)).slice(0, 40), note: words.length ? `\n${words.join(', ').toUpperCase()}` : '',
      noteColour: words[0] === 'dark vessel' ? '#d9c2ff' : silent ? '#ffb08d' : '#ff8f85',
      course: track.course_deg, moving, dark: Boolean(mark?.dark),
      east: moving && track.course_deg < 180,
      kept: this.keepAll || (words.length > 0 && (this.keepAlarmed || Boolean(mark?.grave))) || track.track_id === this.chosen,
      order: track.track_id === this.chosen ? 0 : words.length ? 1 : track.status === 'tentative' ? 3 : 2 });
  }

  /** Where a track may be instead: a symbol of its own, and a dotted line to it. */
  rival(track) {
    const { rival } = track;
    const there = [unroll(rival.lon_deg, track.lon_deg), rival.lat_deg];
    const name = `${plain(rival.device || title(track)).slice(0, 40)}: or here?`;
    for (const id of [`${track.track_id} r`, `${track.track_id} rl`]) this.rivals.add(id);
    return [
      feature({ type: 'Point', coordinates: there }, { id: `${track.track_id} r`, track: track.track_id, name }),
      feature({ type: 'LineString', coordinates: [[track.lon_deg, track.lat_deg], there] }, { id: `${track.track_id} rl`, track: track.track_id }),
    ];
  }

  ellipse(track) {
    return feature({ type: 'Polygon', coordinates: [ring(track)] }, { id: track.track_id, shape: track.status, ended: Boolean(unwarranted(track)) });
  }

  trailDiff(ids, seen) {
    const add = [];
    const gone = new Set(ids);
    const all = this.room.store.tracks.size <= ALL_TRAILS;
    for (const id of seen) {
      if (!all && id !== this.chosen) continue;
      gone.delete(id);
      const [measured, guess] = lines(this.room.store.trails.get(id) ?? [], this.room.store.tracks.get(id), this.since());
      add.push(feature({ type: 'MultiLineString', coordinates: measured }, { id: `${id} m`, measured: true }));
      add.push(feature({ type: 'MultiLineString', coordinates: guess }, { id: `${id} p`, measured: false }));
    }
    return { remove: [...gone].flatMap((id) => [`${id} m`, `${id} p`]), add };
  }

  since() {
    return (this.room.now() ?? 0) - this.room.trailMinutes() * 60000;
  }

  /** The ring round what is selected. */
  mark() {
    const { store } = this.room;
    const row = store.tracks.get(this.chosen) ?? store.flags.get(this.chosen) ?? store.alerts.get(this.chosen);
    const at = row && row.lat_deg !== null ? [feature({ type: 'Point', coordinates: [row.lon_deg, row.lat_deg] }, { id: 'chosen' })] : [];
    this.map.getSource('chosen')?.setData({ type: 'FeatureCollection', features: at });
  }

  /** Where the selected track can be met (js/meet.js). */
  async meet(features) {
    await this.ready;
    this.map.getSource('meet').setData({ type: 'FeatureCollection', features });
    document.body.dataset.meet = `${features.length}`;
  }

  /** The middle of what is shown. @returns {{lat: number, lng: number}} */
  middle() {
    return this.map.getCenter();
  }

  /** Cells in which something happens, with how long somebody looked (js/hotspots.js). */
  async heat(features) {
    await this.ready;
    this.map.getSource('hotspots').setData({ type: 'FeatureCollection', features });
    document.body.dataset.hotspots = `${features.length}`;
  }

  /** What is expected of the selected track and what happened to it, as features (js/ahead.js). */
  async foresee(ahead, happened) {
    await this.ready;
    const arrives = ahead.map((f) => f.properties.place).filter(Boolean); // its word stands there already
    this.map.setFilter('zones-label', ['all', ['==', ['geometry-type'], 'Point'], ['!', ['in', ['get', 'name'], ['literal', arrives]]]]);
    for (const [name, features] of Object.entries({ ahead, happened })) this.map.getSource(name).setData({ type: 'FeatureCollection', features });
    document.body.dataset.foreseen = `${ahead.length} ${happened.length}`;
  }

  select(id) {
    const old = this.chosen;
    this.chosen = id;
    if (!this.map?.getSource('chosen')) return;
    this.mark();
    const { tracks, flags } = this.room.store;
    this.change({ tracks: new Set([old, id].filter((x) => tracks.has(x))), flags: new Set([old, id].filter((x) => flags.has(x))) });
  }

  /** Whether a row's symbol is in sight: on the map, and not behind the panel. */
  sees(row) {
    if (!this.map || !row || row.lat_deg === null) return true;
    const { x, y } = this.map.project([unroll(row.lon_deg, this.map.getCenter().lng), row.lat_deg]);
    const { clientWidth, clientHeight } = this.map.getContainer();
    const { right, bottom } = this.covered();
    return x >= 0 && y >= 0 && x <= clientWidth - right && y <= clientHeight - bottom;
  }

  /** What the panel of what is selected covers: the right side, on a narrow page the lower one. */
  covered() {
    const panel = document.getElementById('detail');
    const below = innerWidth <= 820;
    return { right: panel.hidden || below ? 0 : 380, bottom: panel.hidden || !below ? 0 : panel.offsetHeight };
  }

  /** Bring a row to the middle; closer, where the map is far out. */
  centre(row, jump = false) {
    if (!this.map || !row || row.lat_deg === null) return;
    this.touched = true;
    // the middle is that of what is not covered
    const to = { center: [unroll(row.lon_deg, this.map.getCenter().lng), row.lat_deg], padding: { left: 0, top: 0, ...this.covered() } };
    if (jump) this.map.jumpTo(to);
    else this.map.easeTo({ ...to, zoom: Math.max(this.map.getZoom(), 11), duration: matchMedia('(prefers-reduced-motion: reduce)').matches ? 0 : 300 });
  }

  /** Show every track; by itself only where one is out of sight and nobody has moved the map yet. */
  fit(asked) {
    if (!this.map || (this.touched && !asked)) return;
    const bounds = this.bounds();
    if (!bounds) return;
    const view = this.map.getBounds();
    if (!asked && view.contains(bounds.getSouthWest()) && view.contains(bounds.getNorthEast()) && this.map.getZoom() > 3) return;
    this.map.setPadding({ left: 0, top: 0, right: 0, bottom: 0 });
    this.map.fitBounds(bounds, FIT);
  }

  /** Show features whole, beside the panel, and the track that they are of. */
  show(features, row) {
    if (!this.map || !row) return;
    this.touched = true;
    const bounds = new maplibre.LngLatBounds();
    const take = (c) => (typeof c[0] === 'number' ? bounds.extend([unroll(c[0], row.lon_deg), c[1]]) : c.forEach(take));
    for (const one of features) take(one.geometry.coordinates);
    take([row.lon_deg, row.lat_deg]);
    this.map.setPadding({ left: 0, top: 0, right: 0, bottom: 0 });
    this.map.fitBounds(bounds, { ...FIT, padding: innerWidth > 820 ? { ...FIT.padding, right: 440 } : FIT.padding });
  }

  /** What holds all that is of interest, or null. */
  bounds() {
    const corners = around(this.room.store, (track) => this.visible(track), this.operation);
    return corners && new maplibre.LngLatBounds(...corners);
  }

  filter(operation) {
    this.operation = operation;
    this.change({ reset: true });
  }

  /** Operation areas, the places that they watch and fixed readers: they change rarely. */
  async scenery(operations, devices) {
    await this.ready;
    const zones = operations.filter((o) => !o.closed).flatMap((o) => o.zones.flatMap((z, i) => zone(z, `${o.operation} ${i}`)));
    const areas = operations.filter((o) => o.area.length > 3 && !o.closed).map((o) => feature(
      { type: 'LineString', coordinates: o.area.map((c) => [unroll(c.lon_deg, o.area[0].lon_deg), c.lat_deg]) },
      { id: o.operation, name: plain(o.name || o.operation) }));
    const places = devices.filter((d) => d.lat_deg !== null).map((d) => feature(
      { type: 'Point', coordinates: [d.lon_deg, d.lat_deg] }, { id: d.device, name: plain(d.name || d.device) }));
    this.map.getSource('areas').setData({ type: 'FeatureCollection', features: [...areas, ...zones] });
    this.map.getSource('places').setData({ type: 'FeatureCollection', features: places });
  }

  /** Lines of latitude and longitude, so that an empty sea has a scale. */
  grid() {
    const b = this.map.getBounds();
    const step = [30, 20, 10, 5, 2, 1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001].find((s) => b.getEast() - b.getWest() > 4 * s) ?? 0.001;
    const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
    const features = [];
    const line = (id, name, coordinates) => features.push(feature({ type: 'LineString', coordinates }, { id, name }));
    const [south, north] = [Math.max(-85, b.getSouth()), Math.min(85, b.getNorth())];
    for (let i = Math.ceil(b.getWest() / step); i * step <= b.getEast(); i++) {
      const lon = ((i * step + 540) % 360) - 180;
      line(`x${i}`, `${Math.abs(lon).toFixed(digits)}° ${lon < 0 ? 'W' : 'E'}`, [[i * step, south], [i * step, north]]);
    }
    for (let i = Math.ceil(south / step); i * step <= north; i++) {
      line(`y${i}`, `${Math.abs(i * step).toFixed(digits)}° ${i < 0 ? 'S' : 'N'}`, [[b.getWest(), i * step], [b.getEast(), i * step]]);
    }
    this.map.getSource('grid').setData({ type: 'FeatureCollection', features });
  }
}

function feature(geometry, properties) {
  return { type: 'Feature', geometry, properties };
}

/** A place that is watched: its outline or line, and its name in the middle. */
function zone(z, id) {
  const line = z.points.map((c) => [unroll(c.lon_deg, z.points[0].lon_deg), c.lat_deg]);
  const middle = [0, 1].map((k) => (Math.min(...line.map((c) => c[k])) + Math.max(...line.map((c) => c[k]))) / 2);
  return [feature({ type: 'LineString', coordinates: line }, { id, zone: true }),
    feature({ type: 'Point', coordinates: middle }, { id: `${id} name`, zone: false, name: plain(z.name) })];
}

function flagPoint(flag) {
  return feature({ type: 'Point', coordinates: [flag.lon_deg, flag.lat_deg] }, { id: flag.flag_id, shape: flag.dark ? 'dark' : 'flag' });
}

/** A trail as (measured, guessed) lines: a step from or to a prediction, over a gap, or on to where the track is now is a guess. */
function lines(trail, track, since) {
  const points = trail.filter((p) => p.t >= since && !(track.kept && !p.measured));
  const now = { t: Date.parse(track.time), lat: track.lat_deg, lon: track.lon_deg, measured: false };
  if (points.length && now.t > points.at(-1).t) points.push(now);
  const steps = points.slice(1).map((p, i) => p.t - points[i].t).sort((a, b) => a - b);
  const usual = Math.max(steps[Math.floor(steps.length / 2)] ?? 0, 1000);
  const out = [[], []];
  let which = -1;
  let lon = points[0]?.lon ?? 0;
  for (let i = 1; i < points.length; i++) {
    const [a, b] = [points[i - 1], points[i]];
    const from = lon;
    lon = unroll(b.lon, from);
    const side = a.measured && b.measured && b.t - a.t <= GAP * Math.max(usual, b.step ?? 0) ? 0 : 1;
    if (side !== which) out[side].push([[from, a.lat]]);
    which = side;
    out[side].at(-1).push([lon, b.lat]);
  }
  return out;
}
