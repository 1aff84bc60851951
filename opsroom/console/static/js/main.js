// The page: puts the live channel, the lists, the map and the keys together.
// Over 400 lines: the one place that knows every part of the page.

import { Ahead, happened, tell } from './ahead.js';
import { Hotspots } from './hotspots.js';
import { Meet } from './meet.js';
import { AlertList } from './alerts.js';
import { Detail } from './detail.js';
import { Live } from './live.js';
import { inOrder, newest } from './order.js';
import { MoreList, TrackList, legend, make, write } from './rows.js';
import { Sound } from './sound.js';
import { icon, sample } from './shapes.js';
import { Store, aboutOf, graver } from './store.js';
import { Watch, rememberFolds } from './watch.js';
import { age, clock, metres, plain, position, sentence, stamp } from './words.js';

const $ = (id) => document.getElementById(id);
const store = new Store();
const state = { connects: [], connectsAt: 0, authorityAt: 0, budgetAt: 0, unheardAt: 0, following: false, chosenKind: '', chosenId: '', problems: [], lost: false, word: 'LIVE', retryAt: 0, scenery: 0, places: new Map() };
const watch = new Watch((id) => (store.alerts.has(id) ? alerts.what(store.alerts.get(id)) : ''));

const turn = { connects: inOrder(), warrants: inOrder(), budget: inOrder(), unheard: inOrder(), scenery: inOrder(), trails: newest() };

const room = {
  store,
  now: () => live.now(),
  trailMinutes: () => Number($('trail-minutes').value),
  operation: () => $('operation').value,
  place: (device) => state.places.get(device) || device,
  choose,
  acknowledge: (id, nothing = false) => watch.acknowledge(id, nothing),
  reopen: (id) => watch.decide({
    title: 'Open it again?', words: `${alerts.what(store.alerts.get(id))} waits for somebody again`,
    decision: { action: 'reopen', subject: id }, told: () => {},
  }),
  decide: (what) => watch.decide(what),
  // what was decided here has moved what is looked at: the map goes there, where it is out of sight
  decided: (row) => chart && !chart.sees(row) && chart.centre(row),
  fail: (words) => watch.fail(words),
  acknowledgeGroup: (group) => watch.acknowledgeGroup({ ...group, seq: live.seq }),
  sound: (severity) => sound.play(severity),
  unfollow: () => follow(false),
};

const live = new Live({ frame, state: lineState, token: () => $('token').showModal() });
const tracks = new TrackList(room);
const alerts = new AlertList(room);
const flags = new MoreList('flags', {
  tell: (f) => ({ id: f.flag_id, shape: f.dark ? 'dark' : 'flag', image: f.dark ? f.thumbnail : '', words: [clock(f.time),
    f.dark ? 'DARK, no track near' : f.time_source === 'server' ? 'time is a guess' : 'near a track', f.length_m === null ? '' : metres(f.length_m), `score ${Number(f.score.toPrecision(3))}`] }),
  last: (rows) => {
    const dark = rows.filter((f) => f.dark);
    return dark.length ? `${dark.length} dark, last ${ago(dark[0].time)}` : `last ${ago(rows[0].time)}`;
  },
  choose: (id) => choose('flag', id),
});
const refused = new MoreList('refused', {
  tell: (r) => ({ id: r.refused_id, words: [`${r.count} ×`, reason(r), plain(r.device || r.source), plain(r.format),
    `last ${clock(r.last)}`, plain(r.detail)] }),
  // a part that was not understood, a message that fed no track, what was sealed and came in since: no refused message
  count: (r) => (['unread', 'no_track', 'opened'].includes(r.reason) ? 0 : r.count),
  last: (rows) => `${ago(rows[0].last)}: ${reason(rows[0])}, ${plain(rows[0].device || rows[0].source)}`, // what is cut off is not when
});
const authority = new MoreList('authority', {
  tell: (r) => ({ id: r.id, words: r.words }),
  count: (r) => r.count,
  last: (rows) => rows[0].words.slice(0, 2).join(' '),
});
function reason(r) {
  if (r.reason === 'sealed') return 'SEALED';
  if (r.reason === 'opened') return 'opened by order';
  if (r.reason === 'no_track') return 'fed no track';
  return r.reason === 'unread' ? 'part not understood' : r.reason.replaceAll('_', ' ');
}
const events = new MoreList('events', {
  tell: (e) => tell(store, e),
  last: (rows) => {
    const on = rows.filter((e) => !e.end).length;
    return `${on} go${on === 1 ? 'es' : ''} on, last ${ago(rows[0].start)}`;
  },
  choose: (id) => {
    const about = store.events.get(id)?.track_ids.find((track) => store.tracks.has(track));
    if (about) choose('track', about);
  },
});
const detail = new Detail(room);
const sound = new Sound();
// the map comes after the lists: a megabyte of it, and it opens on what the first frame brought
let chart = null;
let drawScenery = null;
const foresight = new Ahead(room, () => chart);
const hotspots = new Hotspots(() => chart);
const meet = new Meet(room, () => chart);
// for the tests and for a person at the browser's own console
globalThis.birddog = { store, live, chart: null };

function ago(iso) {
  const now = live.now();
  return now === null ? clock(iso) : `${age((now - Date.parse(iso)) / 1000)} ago`;
}

// --- what arrives ---

function frame(message, first) {
  const changed = store.apply(message);
  document.body.dataset.seq = String(message.seq);
  document.body.dataset.ready = String(message.ready);
  $('exercise').hidden = !message.exercise;
  // what stands at the time of its import, or is played again, does not happen now
  state.word = message.undated ? 'UNDATED' : message.played ? 'REPLAY' : 'LIVE';
  if (!state.lost) write($('live-word'), state.word);
  problems(message.problems);
  if (changed.reset || changed.tracks.size || changed.alerts.size) tracks.update(changed);
  alerts.update(changed);
  if (!first && waits(changed)) unheard();
  if (changed.reset || changed.flags.size) flags.update([...store.flags.values()].sort((a, b) => (b.dark - a.dark) || (a.time < b.time ? 1 : -1)));
  if (changed.reset || changed.refused.size) refusals();
  if (changed.reset || changed.events.size) {
    events.update(happened(store, room.operation()));
    if (state.chosenKind === 'track') foresight.draw();
  }
  // what was decided of a track may have taken steps out of its trail
  if ([...changed.events].some((id) => store.events.get(id)?.kind === 'decided')) trails();
  detail.heard(changed.events);
  // a track is marked on the map with its alerts
  for (const id of changed.alerts) {
    const alert = store.alerts.get(id); // an alert may be seen, and let go of, in one frame
    for (const about of alert ? aboutOf(alert) : []) if (store.tracks.has(about)) changed.tracks.add(about);
  }
  if (changed.reset || changed.tracks.size || changed.flags.size) chart?.change(changed);
  if (state.chosenId && (changed.reset || changed.tracks.has(state.chosenId) || changed.flags.has(state.chosenId) || changed.alerts.has(state.chosenId))) {
    detail.draw();
    if (state.following) chart?.centre(store.tracks.get(state.chosenId), true);
  }
  if (first) {
    watch.known();
    connects();
    unheard();
    trails();
    scenery();
    if (document.body.dataset.map === 'starting') openMap();
  }
}

function refusals() {
  refused.update([...store.refused.values(), ...state.connects].sort((a, b) => (a.last < b.last ? 1 : -1)));
}

/** Who did not get past CONNECT stands in no journal: asked for beside it. */
async function connects() {
  state.connectsAt = performance.now();
  const due = turn.connects();
  const answer = await ask('/healthz', true);
  if (!answer || !due()) return;
  state.connects = answer.refused_connects.map((c) => ({ refused_id: `connect\u001f${c.source}\u001f${c.address}\u001f${c.client_id}\u001f${c.reason}`,
    count: c.count, reason: 'CONNECT_refused', device: c.client_id, source: c.address, format: c.client_id ? c.address : c.source, detail: c.reason, last: c.last }));
  refusals();
}

/** Warrants, what is due of them, what is still out and what was sealed: no part of the picture, asked for beside it. */
async function warrants() {
  state.authorityAt = performance.now();
  const due = turn.warrants();
  const answer = await ask('/v1/authority'); // 503 until there is a picture
  if (!answer || !due()) return;
  const rows = [
    ...answer.deadlines.filter((d) => d.near).map((d) => ({ id: `d\u001f${d.operation}\u001f${d.warrant}\u001f${d.what}`, count: 1,
      words: [plain(d.what.replaceAll('_', ' ')), `${d.state === 'overdue' ? 'OVERDUE since' : 'due'} ${stamp(d.due)}`, plain(d.warrant || d.operation), sentence(d.text)] })),
    ...answer.retrieval.map((r) => ({ id: `r\u001f${r.device}`, count: 1, words: [r.overdue ? 'OUT, OVERDUE' : 'still out', plain(r.device),
      plain(r.shipment), r.lat_deg === null ? 'place unknown' : position(r.lat_deg, r.lon_deg), plain(r.owner),
      r.authority ? sentence(r.authority) : 'NO AUTHORITY to fetch it', r.deadline ? `by ${stamp(r.deadline)}` : ''] })),
    ...answer.sealed.map((r) => ({ id: `s\u001f${r.refused_id}`, count: 0, words: [`${r.count} sealed`, plain(r.device), plain(r.detail.replaceAll('_', ' '))] })),
    ...answer.opened.map((r) => ({ id: `o\u001f${r.refused_id}`, count: 0, words: [`${r.count} of the sealed opened`, plain(r.device), `by ${plain(r.detail)}`] })),
    ...answer.warrants.map((w) => ({ id: `w\u001f${w.warrant}`, count: 0, words: [plain(w.warrant), w.state, plain(w.device || w.class),
      `until ${stamp(w.until)}`, plain(w.operation), w.approved_by ? `approved by ${plain(w.approved_by)}` : 'NOT APPROVED', ...w.route.map(leg)] })),
  ];
  $('authority-more').hidden = !rows.length;
  authority.update(rows);
}

/** A country on the way: whether it consents, and who takes over there. */
function leg(l) {
  const over = l.takes_over || l.hand_over_by ? `, ${plain(l.takes_over || 'its own authority')} takes over` : '';
  const by = l.handed_over ? ` (done ${stamp(l.handed_over)})` : l.hand_over_by ? ` by ${stamp(l.hand_over_by)}` : '';
  return `${plain(l.country)}: ${l.consent ? `consent ${plain(l.consent)}` : 'NO CONSENT'}${over}${by}`;
}

/** How many false alarms a shift were asked for, and how many there were. */
async function budget() {
  state.budgetAt = performance.now();
  const due = turn.budget();
  const answer = await ask('/v1/alerts/budget');
  if (!answer || !due()) return;
  $('alerts-budget').hidden = answer.asked === null && !answer.false && !answer.measured;
  const asked = answer.asked === null ? 'none asked for' : `asked: ${answer.asked}`;
  write($('alerts-budget'), `False alarms in the last ${answer.shift_h} h: ${answer.false}; a shift, over ${answer.shifts} shifts: ${answer.measured} (${asked}).`);
}

/** Who was attached and not heard since has no track: asked for beside them. */
async function unheard() {
  state.unheardAt = performance.now();
  const due = turn.unheard();
  const answer = await ask('/v1/devices?waiting=1'); // 503 until there is a picture
  if (answer && due()) tracks.waiting(answer.devices);
}

/** Whether a frame tells of somebody who waits to be heard: told of, or heard now. */
function waits(changed) {
  if ([...changed.alerts].some((id) => ['never_heard', 'not_admitted'].includes(store.alerts.get(id)?.kind))) return true;
  if (!tracks.unheard.length) return false;
  const waiting = new Set(tracks.unheard.map((d) => d.device));
  return [...changed.tracks].some((id) => store.tracks.get(id)?.identities.some((name) => waiting.has(name)));
}

/** Trails come from the store once a connection; after that each track's own frames lengthen them. */
async function trails() {
  const wanted = turn.trails();
  const asked = store.arrived;
  const answer = await ask(`/v1/trails?minutes=${room.trailMinutes()}&limit=400`);
  if (!answer || !wanted()) return;
  for (const trail of answer.trails) store.history(trail.track_id, trail.points, trail.step_s, asked);
  chart?.change({ reset: true });
  document.body.dataset.trails = String(answer.trails.length);
}

/** Operations, readers and devices change rarely: asked for at a connection and every minute. */
async function scenery() {
  state.scenery = performance.now();
  const due = turn.scenery();
  const [operations, devices] = await Promise.all([ask('/v1/operations'), ask('/v1/devices')]);
  if (!operations || !devices || !due()) return;
  const select = $('operation');
  const have = new Set([...select.options].map((o) => o.value));
  for (const operation of operations.operations) {
    if (have.has(operation.operation)) continue;
    const option = make('option', '', plain(operation.name || operation.operation) + (operation.closed ? ' (closed)' : ''));
    option.value = operation.operation;
    select.append(option);
  }
  state.places = new Map(devices.devices.filter((d) => d.name).map((d) => [d.device, d.name]));
  alerts.update({ reset: true, alerts: new Set() });
  drawScenery = () => chart?.scenery(operations.operations, devices.devices).catch(() => {});
  drawScenery();
}

/** A GET that may fail: the line is down then, and the bar says so. */
async function ask(url, evenUnwell = false) {
  try {
    const answer = await fetch(url, { headers: { Accept: 'application/json' } });
    return answer.ok || (evenUnwell && answer.status === 503) ? await answer.json() : null;
  } catch (error) {
    if (error instanceof TypeError) return null;
    throw error;
  }
}

// --- the line ---

function lineState(word, retryAt) {
  const lost = word === 'off';
  document.body.dataset.live = word;
  write($('live-word'), lost ? 'LOST' : state.word);
  state.retryAt = retryAt;
  if (lost !== state.lost) {
    write($('say-soon'), lost ? 'The line to the server is lost. What is shown is getting old.' : 'The line to the server is back.');
    state.lost = lost;
    problems(state.problems);
  }
  tick();
}

function problems(list) {
  state.problems = list;
  const node = $('feeds');
  if (state.lost) {
    // nobody can know, and green words would be a lie
    node.classList.add('bad');
    write(node, 'processes: not known');
    node.title = '';
    return;
  }
  node.classList.toggle('bad', list.length > 0);
  write(node, list.length ? `! ${list[0]}${list.length > 1 ? ` (+${list.length - 1})` : ''}` : 'system well');
  node.title = list.join('\n');
}

function tick() {
  const now = live.now();
  if (now !== null) write($('clock'), stamp(new Date(now).toISOString()).replace(/Z$/, ' UTC'));
  const bar = $('lost');
  bar.hidden = !state.lost;
  if (state.lost) {
    const asOf = live.last ? `Data as of ${stamp(live.last.text)} (${age((now - live.last.time) / 1000)} ago); ages go on counting.` : 'No data yet.';
    const wait = Math.max(0, Math.ceil((state.retryAt - performance.now()) / 1000));
    write(bar, `CONNECTION LOST. ${asOf} ${wait ? `Trying again in ${wait} s.` : 'Trying now.'}`);
  }
  for (const list of [tracks, alerts, flags, authority, refused, events]) list.tick();
  if (!state.lost) for (const one of [foresight, hotspots, meet]) one.tick();
  if (state.chosenKind) detail.draw();
  if (!state.lost && performance.now() - state.scenery > 60000) scenery();
  if (!state.lost && performance.now() - state.connectsAt > 10000) connects();
  if (!state.lost && performance.now() - state.authorityAt > 5000) warrants();
  if (!state.lost && performance.now() - state.budgetAt > 10000) budget();
  if (!state.lost && performance.now() - state.unheardAt > 5000) unheard();
}
setInterval(tick, 1000);

// --- what a person does ---

function choose(kind, id) {
  let row;
  if (kind === 'alert') {
    row = store.alerts.get(id);
    if (row && !row.members?.length && store.tracks.has(row.track_id)) return choose('track', row.track_id);
  } else row = (kind === 'track' ? store.tracks : store.flags).get(id);
  follow(false);
  state.chosenKind = kind;
  state.chosenId = id;
  tracks.select(kind === 'track' ? id : '');
  detail.show(kind, id);
  for (const one of [foresight, meet]) one.select(kind === 'track' ? id : '');
  chart?.select(id);
  chart?.centre(row);
  document.body.dataset.selected = id;
  return undefined;
}

function unchoose() {
  follow(false);
  const row = state.chosenKind === 'track' ? tracks.rows.get(state.chosenId)?.button : null;
  const inside = $('detail').contains(document.activeElement);
  state.chosenKind = state.chosenId = '';
  delete document.body.dataset.selected;
  tracks.select('');
  chart?.select('');
  detail.hide();
  for (const one of [foresight, meet]) one.select('');
  if (inside) (row ?? $('alerts-title')).focus();
}

function follow(on) {
  state.following = on && state.chosenKind === 'track';
  $('detail-follow').setAttribute('aria-pressed', String(state.following));
  document.body.dataset.follow = String(state.following);
  if (state.following) chart?.centre(store.tracks.get(state.chosenId));
}

// --- keys ---

function typing(target) {
  return target instanceof HTMLInputElement || target instanceof HTMLSelectElement || target instanceof HTMLTextAreaElement;
}

function step(by) {
  const here = document.activeElement;
  const list = here?.closest?.('#alerts-list, #seen-list, #events-list, #flags-list, #tracks-list');
  if (list && list.id !== 'tracks-list') {
    const buttons = [...list.querySelectorAll('li > button:first-child')];
    const at = buttons.indexOf(here.closest('li').querySelector('button'));
    buttons[at + by]?.focus();
    return;
  }
  const from = list ? here.closest('li').querySelector('button') : tracks.rows.get(state.chosenId)?.button;
  tracks.near(from, by)?.focus();
}

document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector('dialog[open]')) return;
  if (event.key === 'Escape') {
    if (event.target === $('search')) {
      $('search').value = '';
      search();
      $('search').blur();
    } else if (state.chosenId) unchoose();
    return;
  }
  if (typing(event.target)) {
    if (event.target === $('search') && event.key === 'ArrowDown') {
      event.preventDefault();
      tracks.near(null, 1)?.focus();
    }
    return;
  }
  const onMap = event.target instanceof Element && event.target.closest('#map');
  const keys = {
    '/': () => $('search').focus(),
    j: () => step(1),
    k: () => step(-1),
    ArrowDown: onMap ? null : () => step(1),
    ArrowUp: onMap ? null : () => step(-1),
    f: () => follow(!state.following),
    a: () => event.repeat || gravest(),
    m: mute,
    '?': () => $('help').showModal(),
  };
  if (keys[event.key]) {
    event.preventDefault();
    keys[event.key]();
  }
});

async function mute() {
  await sound.toggle();
  $('sound').setAttribute('aria-pressed', String(sound.on));
}

function gravest() {
  const group = document.activeElement?.closest?.('[data-group]');
  if (group) {
    group.querySelector('.ack').click();
    return;
  }
  const focused = document.activeElement?.closest?.('[data-alert-id]')?.dataset.alertId;
  const open = store.open().filter((a) => !room.operation() || a.operation === room.operation());
  const alert = open.find((a) => a.alert_id === focused) ?? open.find((a) => a.track_id === state.chosenId) ?? open.sort(graver)[0];
  if (alert) watch.acknowledgeByKey(alert.alert_id);
}

function search() {
  tracks.search = $('search').value.trim();
  tracks.order();
  tracks.tick();
}

$('search').addEventListener('input', search);
$('operation').addEventListener('change', () => {
  tracks.operation = room.operation();
  tracks.order();
  alerts.update({ reset: true, alerts: new Set() });
  events.update(happened(store, room.operation()));
  chart?.filter(room.operation());
});
$('trail-minutes').addEventListener('change', trails);
$('fit').addEventListener('click', () => chart?.fit(true));
$('sound').addEventListener('click', mute);
$('help-open').addEventListener('click', () => $('help').showModal());
$('about-open').addEventListener('click', () => $('about').showModal());
$('detail-close').addEventListener('click', unchoose);
$('detail-follow').addEventListener('click', () => follow(!state.following));
$('detail-centre').addEventListener('click', () => chart?.centre(detail.row()));
rememberFolds('legend', 'seen-more', 'events-more', 'hot-more', 'flags-more', 'authority-more', 'refused-more');
$('token-form').addEventListener('submit', async (event) => {
  event.preventDefault();
  const answer = await fetch('/v1/session', {
    method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ token: $('token-text').value }),
  });
  if (answer.ok) {
    $('token').close();
    $('token-text').value = '';
    live.open();
  } else write($('token-wrong'), 'That is no token of this console.');
});

legend($('legend-list'), [
  [icon('rival'), 'or here? its receivers part'],
  [icon('unheard'), 'attached and never heard: no place'],
  [sample('ellipse'), '95 % ellipse'],
  [sample('solid'), 'trail, measured'],
  [sample('dashed'), 'trail, predicted or a gap'],
  [sample('ahead'), 'forecast, not measured: 50 % and 90 % regions'],
  [sample('watched'), 'place that a case watches'],
  [sample('cell'), 'cell: how often in how many hours watched'],
  [icon('happened'), 'stop, encounter … of the selected track'],
]);

async function openMap() {
  document.body.dataset.map = 'loading';
  try {
    const { Chart } = await import('./chart.js');
    chart = globalThis.birddog.chart = new Chart(room);
    drawScenery?.();
    await chart.ready;
    foresight.draw();
    document.body.dataset.map = 'ready';
  } catch (error) {
    // no WebGL, or the libraries are not there: the lists hold everything that the map shows
    console.warn(error);
    document.body.dataset.map = 'failed';
    $('map-failed').hidden = false;
    write($('map-failed'), `No map: ${error?.message ?? error}. The lists work without it.`);
  }
}
live.open();
