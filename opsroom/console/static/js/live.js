// The live channel: one WebSocket, resumed by sequence number, with the server's clock.

const QUIET_MS = 8000; // the server says something at least every 2 s
const LONGEST_S = 30;

export class Live {
  /**
   * @param {{frame: (frame: object, first: boolean) => void, state: (state: 'on'|'off'|'connecting', retryAt: number) => void,
   *          token: () => void}} hear
   */
  constructor(hear) {
    this.hear = hear;
    this.seq = 0;
    this.epoch = '';
    this.tries = 0;
    this.retryAt = 0;
    this.last = null; // {time: ms of the server, since: stopwatch()}
    this.socket = null;
    this.timer = 0;
    addEventListener('online', () => this.hurry());
    document.addEventListener('visibilitychange', () => document.visibilityState === 'visible' && this.hurry());
    setInterval(() => this.watch(), 1000);
  }

  /** Milliseconds UTC by the server's clock; null before the first frame. This machine's own clock only measures on from there. */
  now() {
    return this.last && this.last.time + this.last.since();
  }

  open() {
    clearTimeout(this.timer);
    this.timer = 0;
    const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
    const socket = new WebSocket(`${scheme}://${location.host}/v1/live?since=${this.seq}&epoch=${encodeURIComponent(this.epoch)}`);
    this.socket = socket;
    this.heard = stopwatch();
    let first = true;
    socket.onmessage = (event) => {
      if (socket !== this.socket) return;
      const frame = JSON.parse(event.data);
      this.heard = stopwatch();
      this.last = { time: Date.parse(frame.time), since: this.heard, text: frame.time };
      this.hear.frame(frame, first);
      if (frame.epoch !== undefined) this.epoch = frame.epoch;
      this.seq = frame.seq;
      if (first) this.hear.state('on', 0);
      first = false;
      this.tries = 0;
    };
    socket.onclose = (event) => {
      if (socket !== this.socket) return;
      this.socket = null;
      if (event.code === 4401) {
        this.hear.state('off', 0);
        this.hear.token();
        return;
      }
      // dropped for being slow: the seconds to come are better spent reading
      this.later(event.code === 4408 ? 0.2 : Math.min(LONGEST_S, 2 ** this.tries++) * (0.75 + Math.random() / 2));
    };
  }

  later(seconds) {
    this.retryAt = performance.now() + seconds * 1000;
    this.hear.state('off', this.retryAt);
    this.timer = setTimeout(() => this.open(), seconds * 1000);
  }

  /** The line may be back: do not wait for the timer. */
  hurry() {
    if (this.timer) {
      this.tries = 0;
      this.open();
    }
  }

  /** A line can be dead without being closed. */
  watch() {
    if (this.socket && this.heard() > QUIET_MS) {
      const dead = this.socket;
      this.socket = null;
      dead.close();
      this.later(1);
    }
  }
}

/**
 * Milliseconds from now on. A machine that slept may have stopped one clock, and a person may have set the other: the
 * larger counts, so that nothing looks younger than it is.
 * @returns {() => number}
 */
function stopwatch() {
  const [steady, wall] = [performance.now(), Date.now()];
  return () => Math.max(performance.now() - steady, Date.now() - wall);
}
