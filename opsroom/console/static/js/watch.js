// Who is on watch, and what they acknowledge: each an entry of the journal with a name.

import { make, write } from './rows.js';

const KEY = 'birddog-watch';
const PAUSE_MS = 1000; // a key pressed twice, or held, must not acknowledge the next alert unseen

const $ = (id) => document.getElementById(id);

export class Watch {
  /** @param {(id: string) => string} tell what an alert says */
  constructor(tell) {
    this.tell = tell;
    this.last = -Infinity; // performance.now() of the last acknowledgement
    // what the open dialog asks about; only `ask` sets it: a dialog's `close` comes late, when the next may be open
    this.waiting = {};
    $('watch').value = remembered(KEY) ?? '';
    $('watch').addEventListener('change', () => remember(KEY, this.name()));
    $('who-not').addEventListener('click', () => $('who').close());
    $('who-form').addEventListener('submit', (event) => {
      event.preventDefault();
      const name = $('who-name').value.trim();
      if (!name) return;
      $('watch').value = name;
      remember(KEY, name);
      const what = this.waiting;
      $('who').close();
      if (what.alert) this.acknowledge(what.alert, what.nothing);
      else if (what.decision) this.sendDecision(what);
      else this.sendGroup(what);
    });
  }

  name() {
    return $('watch').value.trim();
  }

  /** With tokens the server knows who it is, whatever this page says. */
  async known() {
    const answer = await fetch('/v1/session').catch(() => null);
    const session = answer?.ok ? await answer.json() : null;
    if (!session?.tokens || !session.name) return;
    $('watch').value = session.name;
    $('watch').readOnly = true;
  }

  /** By a key that is easily pressed twice: not within a second of the last one. */
  acknowledgeByKey(id) {
    if (performance.now() - this.last >= PAUSE_MS) this.acknowledge(id);
  }

  /**
   * Ask for a name where there is none, then send it; what is not on disk is said loudly, and the alert stays open.
   * @param {boolean} nothing it was a false alarm
   */
  async acknowledge(id, nothing = false) {
    if (!this.name()) {
      this.ask({ alert: id, nothing }, this.tell(id));
      return;
    }
    await this.send(`/v1/alerts/${encodeURIComponent(id)}/acknowledge`, nothing ? { false: true } : {},
      () => (nothing ? 'Acknowledged as false.' : 'Acknowledged.'));
  }

  /** Many alerts of one kind: what they are is always said first, and confirmed. @param {object} group as the server wants it, and `words` */
  acknowledgeGroup(group) {
    this.ask(group, group.words);
  }

  async sendGroup({ words, ...group }) {
    await this.send('/v1/alerts/acknowledge', group, (answer) => `${answer.acknowledged} acknowledged.`);
  }

  /** A decision about a track: what it means is always said first, and confirmed. @param {object} what `decision` as the server wants it, `title`, `words`, `told` */
  decide(what) {
    this.ask(what, what.words);
  }

  async sendDecision({ decision, told }) {
    await this.send('/v1/decisions', decision, (answer) => {
      told(answer.decision_id);
      return `Decided, ${answer.decision_id}.`;
    }, 'The decision');
  }

  ask(what, words) {
    this.waiting = what;
    $('who-name').value = this.name();
    $('who-name').readOnly = $('watch').readOnly;
    write($('who-title'), what.alert ? 'Who is on watch?' : what.title ?? 'Acknowledge all of these?');
    write($('who-verb'), what.title ? 'You decide:' : 'You acknowledge:');
    write($('who-send'), what.title ? 'Decide' : 'Acknowledge');
    write($('who-what'), words);
    $('who').showModal();
  }

  async send(path, body, told, what = 'The acknowledgement') {
    this.last = performance.now();
    try {
      const answer = await fetch(path, {
        method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ ...body, by: this.name() }),
      });
      if (!answer.ok) throw new TypeError((await answer.json()).error ?? answer.statusText);
      write($('say-soon'), told(await answer.json()));
    } catch (error) {
      if (!(error instanceof TypeError) && !(error instanceof SyntaxError)) throw error;
      this.fail(`${what} was not written: ${error.message}`);
    }
  }

  /** Say loudly that something is not so. */
  fail(words) {
    write($('say-now'), words);
    const bar = make('p', 'toast', words);
    document.body.append(bar);
    setTimeout(() => bar.remove(), 8000);
  }
}

/** Folds that stay as this browser's person left them. */
export function rememberFolds(...ids) {
  for (const id of ids) {
    const fold = $(id);
    const was = remembered(`birddog-open-${id}`);
    if (was !== null) fold.open = was === '1';
    fold.addEventListener('toggle', () => remember(`birddog-open-${id}`, fold.open ? '1' : '0'));
  }
}

function remembered(key) {
  try {
    return localStorage.getItem(key);
  } catch (error) {
    if (!(error instanceof DOMException)) throw error;
    return null; // storage is switched off: it holds as long as the page
  }
}

function remember(key, value) {
  try {
    localStorage.setItem(key, value);
  } catch (error) {
    if (!(error instanceof DOMException)) throw error;
  }
}
