// What the first view holds.

import { ring, unroll } from './ellipse.js';

const FIT_M = 500;

/**
 * The corners of what holds every visible track with its ellipse, every open alert's place and every dark flag; or null.
 * A lost track's ellipse is not let grow without end.
 * @param {import('./store.js').Store} store
 * @param {(track: object) => boolean} visible
 * @param {string} operation only its alerts; '' for all
 * @returns {[[number, number], [number, number]]|null} south-west, north-east
 */
export function around(store, visible, operation) {
  const places = [];
  for (const row of store.tracks.values()) {
    if (!visible(row)) continue;
    const ellipse95 = { ...row.ellipse95, major_m: Math.min(row.ellipse95.major_m, FIT_M), minor_m: Math.min(row.ellipse95.minor_m, FIT_M) };
    for (const [lon, lat] of ring({ ...row, ellipse95 }, 8)) places.push([unroll(lon, 0), lat]);
    if (row.rival) places.push([unroll(row.rival.lon_deg, 0), row.rival.lat_deg]);
  }
  const placed = (row) => row.lat_deg !== null && !(row.lat_deg === 0 && row.lon_deg === 0);
  for (const alert of store.alerts.values()) {
    if (alert.open && placed(alert) && (!operation || alert.operation === operation)) places.push([unroll(alert.lon_deg, 0), alert.lat_deg]);
  }
  for (const flag of store.flags.values()) if (flag.dark && placed(flag)) places.push([unroll(flag.lon_deg, 0), flag.lat_deg]);
  if (!places.length) return null;
  // the widest stretch of the globe without anything is what is left out: it may lie on either side
  places.sort((a, b) => a[0] - b[0]);
  let [west, widest] = [places[0][0], places[0][0] + 360 - places.at(-1)[0]];
  for (let i = 1; i < places.length; i++) {
    const gap = places[i][0] - places[i - 1][0];
    if (gap > widest) [west, widest] = [places[i][0], gap];
  }
  let [south, north] = [90, -90];
  for (const [, lat] of places) [south, north] = [Math.min(south, lat), Math.max(north, lat)];
  return [[west, Math.max(-85, south)], [west + 360 - widest, Math.min(85, north)]];
}
