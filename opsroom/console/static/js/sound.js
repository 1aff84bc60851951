// Tones for new alerts, made by the browser: off until a person switches them on (browsers ask for a click).

const TONES = { critical: [880, 660, 880, 660], warning: [660, 660], info: [520] };
const STEP_S = 0.22;

export class Sound {
  constructor() {
    this.context = null;
  }

  get on() {
    return this.context !== null;
  }

  /** Switch on (and let it be heard, so that a person knows it works) or off. */
  async toggle() {
    if (this.context) {
      const old = this.context;
      this.context = null;
      await old.close();
      return;
    }
    this.context = new AudioContext();
    await this.context.resume();
    this.play('warning');
  }

  /** @param {string} severity */
  play(severity) {
    if (!this.context) return;
    const start = this.context.currentTime + 0.02;
    (TONES[severity] ?? TONES.info).forEach((hertz, i) => {
      const tone = this.context.createOscillator();
      const gain = this.context.createGain();
      tone.frequency.value = hertz;
      // swells and fades: no clicks, nothing that makes a tired person jump
      gain.gain.setValueAtTime(0, start + i * STEP_S);
      gain.gain.linearRampToValueAtTime(0.25, start + i * STEP_S + 0.03);
      gain.gain.linearRampToValueAtTime(0, start + (i + 0.9) * STEP_S);
      tone.connect(gain).connect(this.context.destination);
      tone.start(start + i * STEP_S);
      tone.stop(start + (i + 1) * STEP_S);
    });
  }
}
