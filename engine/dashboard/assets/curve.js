// An agent's equity over its fall from the peak, the limit of the fall drawn in.

import { colour, fit, sizeOf } from "./dom.js";

const FALL_SHARE = 0.34;
const GAP = 8;

/** Draws points `[ms, equity, drawdown percent]` and the present; nothing while there are fewer than two. */
export function paintCurve(canvas, points, now, limitPct) {
  const { width, height } = sizeOf(canvas);
  if (!width) return;
  const context = fit(canvas, width, height);
  const all = points.map(([at, equity, fall]) => [at, Number(equity), Number(fall)]);
  if (now) all.push([now.at, Number(now.equity), Number(now.fall)]);
  if (all.length < 2) return;
  const x = scale(all[0][0], all.at(-1)[0], 0, width - 3);
  const foot = Math.round(height * (1 - FALL_SHARE));
  paintEquity(context, all, x, foot - GAP);
  paintFall(context, all, x, foot, height, Number(limitPct), width);
}

function paintEquity(context, all, x, bottom) {
  let low = Infinity;
  let high = -Infinity;
  for (const [, equity] of all) {
    low = Math.min(low, equity);
    high = Math.max(high, equity);
  }
  const y = scale(low, high, bottom - 2, 4);
  const start = Math.round(y(all[0][1])) + 0.5;
  context.strokeStyle = colour("grid");
  context.setLineDash([3, 3]);
  stroke(context, [[0, start], [x(all.at(-1)[0]), start]], 1);
  context.setLineDash([]);
  const hue = colour(all.at(-1)[1] >= all[0][1] ? "rise" : "fall");
  const line = all.map(([at, equity]) => [x(at), y(equity)]);
  context.globalAlpha = 0.13;
  area(context, line, bottom, hue);
  context.globalAlpha = 1;
  context.strokeStyle = hue;
  stroke(context, line, 1.75);
  const [endX, endY] = line.at(-1);
  context.fillStyle = hue;
  context.beginPath();
  context.arc(endX, endY, 2.5, 0, 7);
  context.fill();
}

function paintFall(context, all, x, top, bottom, limit, width) {
  const deepest = Math.max(limit, ...all.map(([, , fall]) => fall)) || 1;
  const y = scale(0, deepest, top, bottom - 2);
  const line = all.map(([at, , fall]) => [x(at), y(fall)]);
  context.globalAlpha = 0.3;
  area(context, line, top, colour("fall"));
  context.globalAlpha = 1;
  context.strokeStyle = colour("fall");
  stroke(context, line, 1);
  context.strokeStyle = colour("grid");
  stroke(context, [[0, top + 0.5], [width, top + 0.5]], 1);
  if (!(limit > 0)) return;
  context.strokeStyle = colour("limit");
  context.setLineDash([4, 3]);
  const at = Math.round(y(limit)) - 0.5;
  stroke(context, [[0, at], [width, at]], 1);
  context.setLineDash([]);
}

/** Draws the last day of a symbol in the list. */
export function paintSpark(canvas, closes) {
  const { width, height } = sizeOf(canvas);
  if (!width) return;
  const context = fit(canvas, width, height);
  if (closes.length < 2) return;
  const x = scale(0, closes.length - 1, 1, width - 1);
  const y = scale(Math.min(...closes), Math.max(...closes), height - 3, 3);
  context.strokeStyle = colour(closes.at(-1) >= closes[0] ? "rise" : "fall");
  stroke(context, closes.map((close, i) => [x(i), y(close)]), 1.25);
}

function scale(fromLow, fromHigh, toLow, toHigh) {
  const span = fromHigh - fromLow;
  return (value) => (span ? toLow + ((value - fromLow) / span) * (toHigh - toLow) : (toLow + toHigh) / 2);
}

function stroke(context, line, width) {
  context.lineWidth = width;
  context.beginPath();
  line.forEach(([x, y], i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
  context.stroke();
}

function area(context, line, base, hue) {
  context.fillStyle = hue;
  context.beginPath();
  context.moveTo(line[0][0], base);
  for (const [x, y] of line) context.lineTo(x, y);
  context.lineTo(line.at(-1)[0], base);
  context.fill();
}
