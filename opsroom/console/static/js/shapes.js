// The symbols, once, as paths in a 24 × 24 box: the list draws them as SVG, the map as images.
// A state is a shape and a word before it is a colour.

/** status -> shape: `fill` true = a filled body */
export const SHAPES = {
  confirmed: { d: 'M12 4a8 8 0 1 0 0 16a8 8 0 1 0 0-16z', colour: '#7ee2a8', fill: true, word: 'confirmed' },
  tentative: { d: 'M12 6a6 6 0 1 0 0 12a6 6 0 1 0 0-12z', colour: '#a9b8c6', fill: false, word: 'tentative' },
  coasting: { d: 'M12 2.5L21.5 12L12 21.5L2.5 12z', colour: '#ffc857', fill: false, word: 'coasting: predicted, no fix' },
  silent: { d: 'M12 3L22 20.5H2z', colour: '#ff9b71', fill: true, word: 'silent: overdue' },
  flag: { d: 'M5 5H19V19H5z', colour: '#c9a6ff', fill: false, word: 'image flag' },
  dark: { d: 'M5 5H19V19H5z', colour: '#c9a6ff', fill: true, word: 'image flag, no track near: dark' },
  place: { d: 'M12 2.5L21 7.5V16.5L12 21.5L3 16.5V7.5z', colour: '#7db7e8', fill: false, word: 'fixed reader or sensor' },
};

const SVG = 'http://www.w3.org/2000/svg';

/** @param {string} name @returns {SVGSVGElement} */
export function icon(name) {
  const shape = SHAPES[name] ?? MARKS[name] ?? SHAPES.tentative;
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('viewBox', '0 0 24 24');
  svg.setAttribute('class', 'shape');
  svg.setAttribute('aria-hidden', 'true');
  const path = document.createElementNS(SVG, 'path');
  path.setAttribute('d', shape.d);
  path.setAttribute('fill', shape.fill ? shape.colour : 'none');
  path.setAttribute('stroke', shape.colour);
  path.setAttribute('stroke-width', '2.4');
  svg.append(path);
  return svg;
}

/** @param {string} kind 'solid', 'dashed', 'ahead', 'cell', 'watched' or 'ellipse' @returns {SVGSVGElement} a sample for the legend */
export function sample(kind) {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('viewBox', '0 0 24 24');
  svg.setAttribute('class', 'shape');
  svg.setAttribute('aria-hidden', 'true');
  const path = document.createElementNS(SVG, kind === 'ellipse' ? 'ellipse' : 'path');
  if (kind === 'ellipse') {
    for (const [k, v] of Object.entries({ cx: 12, cy: 12, rx: 10, ry: 5, transform: 'rotate(-25 12 12)' })) path.setAttribute(k, String(v));
    path.setAttribute('fill', 'rgba(126,226,168,.18)');
  } else {
    path.setAttribute('d', { ahead: 'M12 3a9 9 0 1 0 0 18a9 9 0 1 0 0-18zM12 8a4 4 0 1 0 0 8a4 4 0 1 0 0-8z', cell: 'M4 4H20V20H4z', watched: 'M4 7H20V17H4z' }[kind] ?? 'M1 16L9 9L15 13L23 6');
    path.setAttribute('fill', { ahead: 'rgba(227,140,255,.14)', cell: 'rgba(255,180,84,.35)' }[kind] ?? 'none');
    if (kind === 'dashed') path.setAttribute('stroke-dasharray', '3 3');
    if (kind === 'ahead') path.setAttribute('stroke-dasharray', '1.5 2.5');
  }
  path.setAttribute('stroke', { dashed: '#ffc857', ahead: '#e38cff', cell: '#ffb454', watched: '#7db7e8' }[kind] ?? '#7ee2a8');
  path.setAttribute('stroke-width', '2');
  svg.append(path);
  return svg;
}

const SIZE = 24;
/** Drawn on the map only: the course of what moves, the frame round a dark vessel's track. */
const MARKS = {
  heading: { d: 'M12 2L20 20L12 15.5L4 20z', colour: '#e8f1f8', fill: true, rim: 2 },
  rival: { d: 'M12 4a8 8 0 1 0 0 16a8 8 0 1 0 0-16zM8.5 8.5L15.5 15.5M15.5 8.5L8.5 15.5', colour: '#ff8f85', fill: false, rim: 4, hollow: true },
  unheard: { d: 'M12 3L22 20.5H2z', colour: '#ff9b71', fill: false },
  happened: { d: 'M12 3L21 12L12 21L3 12z', colour: '#ffb454', fill: false, rim: 4 },
  darkring: { d: 'M2.5 2.5H21.5V21.5H2.5z', colour: '#c9a6ff', fill: false, rim: 4, hollow: true },
};

/** @param {string} name @param {number} ratio device pixels per CSS pixel @returns {{width: number, height: number, data: Uint8ClampedArray}} */
export function image(name, ratio) {
  const px = SIZE * ratio;
  const canvas = new OffscreenCanvas(px, px);
  const ctx = canvas.getContext('2d');
  ctx.scale(ratio, ratio);
  const { d, colour, fill, rim = 5, hollow } = SHAPES[name] ?? MARKS[name];
  const body = new Path2D(d);
  ctx.lineJoin = 'round';
  // a dark rim first: readable over land, sea and other symbols
  ctx.strokeStyle = 'rgba(5,9,13,.95)';
  ctx.lineWidth = rim;
  ctx.stroke(body);
  ctx.fillStyle = fill ? colour : 'rgba(10,16,22,.85)';
  if (!hollow) ctx.fill(body);
  if (name !== 'heading') {
    ctx.strokeStyle = colour;
    ctx.lineWidth = hollow ? 2 : 2.4;
    ctx.stroke(body);
  }
  return ctx.getImageData(0, 0, px, px);
}
