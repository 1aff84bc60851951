// How numbers, ages and positions are written for a person.  Pure functions.

/** @param {number} seconds @returns {string} an age: "12 s", "9 min", "2 h 05", "3 d 4 h" */
export function age(seconds) {
  const s = Math.max(0, Math.floor(seconds));
  if (s < 60) return `${s} s`;
  const min = Math.floor(s / 60);
  if (min < 60) return `${min} min`;
  const h = Math.floor(min / 60);
  if (h < 24) return `${h} h ${String(min % 60).padStart(2, '0')}`;
  return `${Math.floor(h / 24)} d ${h % 24} h`;
}

/** @param {number} seconds @returns {string} how often: "5 s", "0.5 s", "15 min" */
export function often(seconds) {
  return seconds < 60 ? `${Number(seconds.toPrecision(3))} s` : age(seconds);
}

/** @param {number} m @returns {string} "14 m", "1.2 km", "35 km" */
export function metres(m) {
  if (!Number.isFinite(m)) return '?';
  if (m < 1) return '1 m'; // nobody's fix is better than that
  if (m < 1000) return `${Math.round(m)} m`;
  return m < 10000 ? `${(m / 1000).toFixed(1)} km` : `${Math.round(m / 1000)} km`;
}

/** @param {number} lat @param {number} lon @returns {string} degrees with five decimals (about 1 m) */
export function position(lat, lon) {
  return `${Math.abs(lat).toFixed(5)}° ${lat < 0 ? 'S' : 'N'}  ${Math.abs(lon).toFixed(5)}° ${lon < 0 ? 'W' : 'E'}`;
}

/** @param {string} iso @returns {string} "10:42:07Z" */
export function clock(iso) {
  return `${iso.slice(11, 19)}Z`;
}

/** @param {string} iso @returns {string} "24 Nov 10:42:07Z" */
export function stamp(iso) {
  const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
  return `${Number(iso.slice(8, 10))} ${months[Number(iso.slice(5, 7)) - 1]} ${clock(iso)}`;
}

/**
 * A time ahead, to the minute, with its day where that is not today's: a forecast is no more exact, and 07:25 may be tomorrow's.
 * @param {string} iso @param {number|null} now @returns {string} "20:39Z", "30 Nov 07:25Z"
 */
export function hour(iso, now) {
  const minute = `${iso.slice(11, 16)}Z`;
  return now !== null && new Date(now).toISOString().slice(0, 10) === iso.slice(0, 10) ? minute : `${stamp(iso).split(' ').slice(0, 2).join(' ')} ${minute}`;
}

/** @param {number} mps @param {number} course @returns {string} "22 km/h (12 kn) towards 045°", "still" below walking pace */
export function motion(mps, course) {
  if (mps < 0.3) return 'still';
  const towards = String(Math.round(course) % 360).padStart(3, '0');
  return `${(mps * 3.6).toFixed(mps < 3 ? 1 : 0)} km/h (${(mps / 0.514444).toFixed(1)} kn) towards ${towards}°`;
}

/**
 * A sentence of ours that names times: they are written as everywhere on the page, not as a machine writes them.
 * @param {unknown} text @returns {string} "expiry 29 Nov 11:42:43Z: use ends"
 */
export function sentence(text) {
  return plain(text).replace(/\b\d{4}-(?:0[1-9]|1[0-2])-\d\dT\d\d:\d\d(:\d\d)?(?:\.\d+)?Z/gu, (iso, seconds) => (seconds ? stamp(iso) : stamp(`${iso.slice(0, 16)}:00Z`)));
}

/**
 * A name that came from outside, so that it can be read: control and direction-changing characters are shown
 * as their code.  It is still set with textContent only.
 * @param {unknown} text @returns {string}
 */
export function plain(text) {
  return String(text ?? '').replace(/[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202f\u2060-\u206f\ufeff]/gu,
    (c) => `⟨U+${c.codePointAt(0).toString(16).toUpperCase().padStart(4, '0')}⟩`);
}
