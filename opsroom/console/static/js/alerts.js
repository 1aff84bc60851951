// The alerts: what waits for a person, in full; below it, folded, what was seen or is over, one line each.

import { awayM } from './ellipse.js';
import { arrange, make, write } from './rows.js';
import { graver, title, TORN } from './store.js';
import { age, clock, metres, plain, sentence, stamp } from './words.js';

const SHOWN = 60;
const MANY = 6; // more open rows than this are drawn closer: when as an age, the text cut to two lines
const BRIEF = 80; // characters; the whole stands in the panel and under the pointer
const GROUP = 10; // so many open alerts of one kind are one row, that is acknowledged at once

export class AlertList {
  /** @param {{store: import('./store.js').Store, now: () => number|null, choose: (kind: string, id: string) => void,
   *           acknowledge: (id: string) => void, acknowledgeGroup: (group: object) => void, sound: (severity: string) => void, operation: () => string,
   *           place: (device: string) => string}} room */
  constructor(room) {
    this.room = room;
    this.rows = new Map();
    this.many = false;
    this.known = null; // what was announced; null before the first snapshot
    this.list = document.getElementById('alerts-list');
    this.seen = document.getElementById('seen-list');
    this.groups = new Map(); // open alerts of one kind, severity and operation, where they are many
    this.opened = new Set(); // the groups whose alerts are shown each
    this.none = document.getElementById('alerts-none');
    this.more = document.getElementById('alerts-more');
    this.count = document.getElementById('alarm-count');
    this.say = document.getElementById('say-now');
  }

  row(id) {
    let row = this.rows.get(id);
    if (row) return row;
    const item = make('li', 'alert');
    item.dataset.alertId = id;
    const go = make('button', 'go');
    go.type = 'button';
    row = { item, go };
    for (const name of ['what', 'severity', 'when', 'text', 'seen']) {
      row[name] = make('span', name);
      go.append(row[name], ' ');
    }
    row.ack = make('button', 'ack', 'Acknowledge');
    row.ack.type = 'button';
    row.ack.dataset.acknowledge = id;
    row.none = make('button', 'ack none', 'False');
    row.none.type = 'button';
    row.none.title = 'Acknowledge it as a false alarm: there was nothing';
    row.again = make('button', 'ack again', 'Open again');
    row.again.type = 'button';
    go.addEventListener('click', () => this.room.choose('alert', id));
    row.ack.addEventListener('click', () => this.room.acknowledge(id));
    row.none.addEventListener('click', () => this.room.acknowledge(id, true));
    row.again.addEventListener('click', () => this.room.reopen(id));
    item.append(go, row.ack, row.none, row.again);
    this.rows.set(id, row);
    return row;
  }

  update(changed) {
    if (!changed.reset && !changed.alerts.size && this.known !== null) return;
    const { store } = this.room;
    const operation = this.room.operation();
    const all = [...store.alerts.values()].sort(graver);
    const mine = all.filter((a) => !operation || a.operation === operation);
    const open = once(mine.filter((a) => a.open));
    const done = once(mine.filter((a) => !a.open), (a) => `${a.group}\u001f${a.began}`).sort((a, b) => (doneAt(a) < doneAt(b) ? 1 : -1));
    const [shown, left] = this.arranged(open);
    this.many = shown.length > MANY;
    this.list.closest('section').classList.toggle('many', this.many);
    const alerts = [...shown.filter((one) => one.alert_id), ...done.slice(0, SHOWN)];
    const kept = new Set(alerts.map((a) => a.alert_id));
    for (const [id, row] of this.rows) {
      if (!kept.has(id)) {
        row.item.remove();
        this.rows.delete(id);
      }
    }
    for (const alert of alerts) this.draw(alert);
    for (const one of shown) if (one.alerts) this.drawGroup(one);
    const names = new Set(shown.map((one) => one.name));
    for (const [name, group] of this.groups) {
      if (names.has(name)) continue;
      if (group.item.contains(document.activeElement)) document.getElementById('alerts-title').focus();
      group.item.remove();
      this.groups.delete(name);
      this.opened.delete(name);
    }
    arrange(this.list, shown.map((one) => (one.alerts ? this.groups.get(one.name) : this.rows.get(one.alert_id)).item));
    arrange(this.seen, done.slice(0, SHOWN).map((a) => this.rows.get(a.alert_id).item));
    this.none.hidden = open.length > 0;
    this.more.hidden = left === 0;
    write(this.more, `and ${left} more`);
    document.getElementById('seen-more').hidden = done.length === 0;
    write(document.getElementById('seen-count'), String(done.length));
    write(document.getElementById('seen-last'), done.length ? `${this.what(done[0])}, ${ended(done[0])}` : '');
    // a filter must not hide that another case has an open alert
    const groups = new Set(open.map((a) => a.group));
    const elsewhere = once(all.filter((a) => a.open && !groups.has(a.group))).length;
    this.count.dataset.open = String(open.length);
    this.count.classList.toggle('grave', open.some((a) => a.severity === 'critical'));
    write(this.count, (open.length ? `${open.length} open alert${open.length > 1 ? 's' : ''} !` : 'no open alerts')
      + (elsewhere ? ` (+${elsewhere} in other operations)` : ''));
    document.title = `${open.length ? `(${open.length}) ` : ''}Birddog`;
    this.announce(open);
    this.tick();
  }

  /**
   * What the list shows of the open alerts, in order: alerts, and groups where many are of one kind.
   * @returns {[object[], number]} the rows, and how many alerts are in none of them
   */
  arranged(open) {
    const groups = new Map();
    const name = (a) => [a.kind, a.severity, a.operation].join('\u001f');
    for (const alert of open) {
      if (!groups.has(name(alert))) groups.set(name(alert), []);
      groups.get(name(alert)).push(alert);
    }
    const shown = [];
    let left = 0;
    for (const alert of open) {
      const alerts = groups.get(name(alert));
      if (alerts.length < GROUP) {
        if (shown.length < SHOWN) shown.push(alert);
        else left += 1;
      } else if (alerts[0] === alert) {
        shown.push({ name: name(alert), alerts });
        if (this.opened.has(name(alert))) {
          shown.push(...alerts.slice(0, SHOWN));
          left += Math.max(0, alerts.length - SHOWN);
        }
      }
    }
    return [shown, left];
  }

  drawGroup({ name, alerts }) {
    let group = this.groups.get(name);
    if (!group) {
      const item = make('li', 'alert group');
      item.dataset.group = alerts[0].kind;
      item.dataset.state = 'open';
      const go = make('button', 'go');
      go.type = 'button';
      group = { item, go };
      for (const part of ['what', 'severity', 'when', 'text']) {
        group[part] = make('span', part);
        go.append(group[part], ' ');
      }
      group.ack = make('button', 'ack', 'Acknowledge all');
      group.ack.type = 'button';
      go.addEventListener('click', () => {
        if (!this.opened.delete(name)) this.opened.add(name);
        this.update({ reset: true, alerts: new Set() });
      });
      group.ack.addEventListener('click', () => this.room.acknowledgeGroup(this.groups.get(name).wanted));
      item.append(go, group.ack);
      this.groups.set(name, group);
    }
    const [{ kind, severity, operation }] = alerts;
    const words = kind.replaceAll('_', ' ');
    const who = alerts.slice(0, 3).map((a) => this.who(a)).join(', ');
    group.alerts = alerts;
    group.wanted = { kind, severity, operation, words: `all ${alerts.length} alerts “${words}”${operation ? ` of ${plain(operation)}` : ''}: ${who} and ${alerts.length - 3} more` };
    group.item.dataset.severity = severity;
    group.go.setAttribute('aria-expanded', String(this.opened.has(name)));
    group.ack.setAttribute('aria-label', `Acknowledge ${group.wanted.words}`);
    write(group.what, `${alerts.length} × ${words}`);
    write(group.severity, severity);
    write(group.text, `${who} and ${alerts.length - 3} more`);
  }

  /** Who or what an alert is about. */
  who(alert) {
    const track = this.room.store.tracks.get(alert.track_id);
    return plain(track ? title(track) : alert.track_id || this.room.place(alert.device));
  }

  /** Who or what, and what happened: "crate-17 parted". */
  what(alert) {
    const kind = alert.kind.replaceAll('_', ' ');
    if (alert.members?.length) return `${alert.members.length} devices ${kind} together`;
    return alert.track_id ? `${this.who(alert)} ${kind}` : `${this.who(alert)} · ${kind}`;
  }

  draw(alert) {
    const row = this.row(alert.alert_id);
    row.item.dataset.severity = alert.severity;
    row.item.classList.toggle('member', alert.open && this.opened.has([alert.kind, alert.severity, alert.operation].join('\u001f')));
    row.item.dataset.state = alert.open ? 'open' : alert.acknowledged ? 'acknowledged' : 'cleared';
    write(row.severity, alert.severity);
    row.when.title = stamp(alert.began);
    write(row.what, this.what(alert));
    // "door opened" is not said twice
    const text = alert.text === alert.kind.replaceAll('_', ' ') ? '' : sentence(alert.text);
    const short = this.many && alert.open ? brief(text) : text;
    write(row.text, short);
    row.text.title = short === text ? '' : text;
    write(row.seen, alert.open && !alert.cleared ? '' : ended(alert));
    const done = !alert.open;
    if (done && (document.activeElement === row.ack || document.activeElement === row.none)) {
      // the button goes away under the finger: on to the next open alert, so that the keyboard is not lost
      const next = [...this.list.querySelectorAll('li[data-state="open"] > .ack')].find((b) => b !== row.ack);
      (next ?? document.getElementById('alerts-title')).focus();
    }
    row.ack.hidden = row.none.hidden = done;
    row.again.hidden = !alert.acknowledged;
    row.ack.setAttribute('aria-label', `Acknowledge ${row.what.textContent}`);
    row.none.setAttribute('aria-label', `False alarm: ${row.what.textContent}`);
    row.again.setAttribute('aria-label', `Open again ${row.what.textContent}`);
  }

  /** How long each has been open; the age of a silence, and how far two places are apart, go on whatever the text said when it was raised. */
  tick() {
    const now = this.room.now();
    if (now === null) return;
    for (const group of this.groups.values()) {
      const raised = group.alerts.map((a) => Date.parse(a.began));
      const ago = (t) => age((now - t) / 1000);
      write(group.when, `newest ${ago(Math.max(...raised))}, oldest ${ago(Math.min(...raised))} ago`);
    }
    for (const [id, row] of this.rows) {
      const alert = this.room.store.alerts.get(id);
      if (!alert) continue;
      const ago = alert.open ? `${age((now - Date.parse(alert.began)) / 1000)} ago` : '';
      write(row.when, [ago, ago && this.many ? '' : clock(alert.began)].filter(Boolean).join(', '));
      const track = alert.open && !alert.members?.length ? this.room.store.tracks.get(alert.track_id) : null;
      if (!track) continue;
      if (alert.kind === 'silent') write(row.seen, `last contact ${age((now - Date.parse(track.last_contact)) / 1000)} ago`);
      else if (TORN.has(alert.kind) && !alert.cleared && track.rival) write(row.seen, `now ${metres(awayM(track, track.rival))} apart`);
    }
  }

  announce(open) {
    const before = this.known;
    // what comes again calls only when a person is asked anew
    const asks = (a) => `${a.alert_id}\u001f${a.asked}`;
    this.known = new Set([...(before ?? []), ...open.map(asks)]);
    if (before === null) {
      if (open.length) write(this.say, `${open.length} open alerts`);
      return;
    }
    const fresh = open.filter((a) => !before.has(asks(a)));
    if (fresh.length) this.room.sound(fresh[0].severity); // sorted: the gravest of them
    if (fresh.length) write(this.say, fresh.slice(0, 3).map((a) => `${a.severity} alert: ${this.what(a)}. ${sentence(a.text)}`).join(' '));
  }
}

/** One alert of each group (of what is over: of each time that it happened): what is told in a case and in `open` is one thing to decide; the case's row is shown. */
function once(alerts, of = (a) => a.group) {
  const best = new Map();
  for (const alert of alerts) {
    const other = best.get(of(alert));
    if (!other || (other.operation === 'open' && alert.operation !== 'open')) best.set(of(alert), alert);
  }
  return alerts.filter((a) => best.get(of(a)) === a);
}

/** The first words of a text that is longer than two lines. */
function brief(text) {
  return text.length > BRIEF ? `${text.slice(0, BRIEF).replace(/[\s,;:(]+\S*$/, '')} …` : text;
}

function doneAt(alert) {
  return alert.acknowledged ?? alert.cleared ?? alert.raised;
}

function ended(alert) {
  const words = [];
  if (alert.acknowledged) words.push(`${alert.false ? 'false, says' : 'acknowledged by'} ${plain(alert.acknowledged_by)} ${clock(alert.acknowledged)}`);
  if (alert.cleared) words.push(`over since ${clock(alert.cleared)}`);
  return words.join(', ');
}
