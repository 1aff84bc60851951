// WGS 84 on the page: the ring of an ellipse in metres, and longitudes that cross the antimeridian.

const A = 6378137;
const E2 = 0.00669437999014;
const RAD = Math.PI / 180;

/** @param {number} lat @returns {[number, number]} metres per degree of (longitude, latitude) there */
export function metresPerDegree(lat) {
  const s = Math.sin(lat * RAD);
  const w2 = 1 - E2 * s * s;
  const n = A / Math.sqrt(w2);
  return [RAD * n * Math.cos(lat * RAD), RAD * n * (1 - E2) / w2];
}

/**
 * How far two places are apart, on a sphere: to half a percent, on either side of the antimeridian.
 * @param {{lat_deg: number, lon_deg: number}} a @param {{lat_deg: number, lon_deg: number}} b @returns {number} metres
 */
export function awayM(a, b) {
  const square = (x) => Math.sin(x / 2) ** 2;
  const h = square((a.lat_deg - b.lat_deg) * RAD) + Math.cos(a.lat_deg * RAD) * Math.cos(b.lat_deg * RAD) * square((a.lon_deg - b.lon_deg) * RAD);
  return 2 * 6371009 * Math.asin(Math.sqrt(Math.min(1, h)));
}

/**
 * The closed ring of an ellipse about a position.
 * @param {{lat_deg: number, lon_deg: number, ellipse95: {major_m: number, minor_m: number, azimuth_deg: number}}} at
 * @param {number} [steps]
 * @returns {[number, number][]} (lon, lat) pairs
 */
export function ring(at, steps = 72) {
  const { major_m: a, minor_m: b, azimuth_deg: azimuth } = at.ellipse95;
  const [sin, cos] = [Math.sin(azimuth * RAD), Math.cos(azimuth * RAD)];
  const [perLon, perLat] = metresPerDegree(at.lat_deg);
  const out = [];
  for (let i = 0; i <= steps; i++) {
    const t = (i % steps) / steps * 2 * Math.PI;
    const along = a * Math.cos(t);
    const across = b * Math.sin(t);
    const east = along * sin + across * cos;
    const north = along * cos - across * sin;
    const lat = Math.max(-89.9, Math.min(89.9, at.lat_deg + north / perLat));
    out.push([at.lon_deg + Math.max(-180, Math.min(180, east / Math.max(perLon, 1))), lat]);
  }
  return out;
}

/** @param {number} lon @param {number} near @returns {number} the same longitude within 180° of another */
export function unroll(lon, near) {
  return lon + 360 * Math.round((near - lon) / 360);
}
