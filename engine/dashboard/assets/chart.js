// The chart: bars, volume, the signal's entry, stop and target, and fills. Two layers lie on each other: the back one
// is drawn when bars, marks, size or view change, the front one (last price, the bar that is forming, cross hair) with
// every tick.

import { colour, fit, onScheme, sizeOf } from "./dom.js";
import { redraw } from "./frames.js";
import { ticks, timeStep } from "./scale.js";
import { clock, day, number, onLanguage, signed, trend, word } from "./words.js";

const AXIS_HEIGHT = 24;
const TOP = 30;
const VOLUME_SHARE = 0.16;
const BAR_WIDTH = { least: 3, usual: 8, most: 28 };
const FONT = "11.5px system-ui, sans-serif";
const RIGHT_ROOM = 7; // Bars left free at the right, where levels are labelled.

export class Chart {
  constructor(stage, back, front, readout) {
    Object.assign(this, { stage, back, front, readout });
    this.data = null;
    this.live = null;
    this.price = null;
    this.marks = { signals: [], fills: [], levels: [] };
    this.barWidth = BAR_WIDTH.usual;
    this.shift = 0;
    this.pointer = null;
    this.drawBack = () => this.paintBack();
    this.drawFront = () => this.paintFront();
    new ResizeObserver(() => this.redrawAll()).observe(stage);
    onScheme(() => this.redrawAll());
    onLanguage(() => this.redrawAll());
    this.listen();
  }

  /** Shows another chart, or the same with new bars; null while there is none. */
  show(data, stepSeconds) {
    this.data = data;
    this.step = stepSeconds;
    this.live = data?.forming ? { ...data.forming } : null;
    if (this.price !== null) this.extend(this.price, this.priceAt);
    this.redrawAll();
  }

  /** Goes back to the newest bars. */
  reset() {
    this.shift = 0;
    this.price = null;
  }

  /** Shows other marks. */
  mark(marks) {
    this.marks = marks;
    redraw(this.drawBack);
  }

  /** Takes a tick in. */
  tick(price, atMs) {
    this.price = price;
    this.priceAt = atMs;
    if (!this.data) return;
    this.extend(price, atMs);
    if (this.range && (price > this.range.high || price < this.range.low || this.range.bars !== this.count())) redraw(this.drawBack);
    redraw(this.drawFront);
  }

  extend(price, atMs) {
    const times = this.data?.time;
    if (!times?.length) return;
    const after = times.at(-1) + this.step;
    const start = after + Math.floor((atMs / 1000 - after) / this.step) * this.step;
    if (start < after) return;
    if (this.live?.time !== start) this.live = { time: start, open: price, high: price, low: price, close: price, volume: 0 };
    this.live.high = Math.max(this.live.high, price);
    this.live.low = Math.min(this.live.low, price);
    this.live.close = price;
  }

  redrawAll() {
    redraw(this.drawBack);
    redraw(this.drawFront);
  }

  count() {
    return (this.data?.time?.length ?? 0) + (this.live ? 1 : 0);
  }

  bar(index) {
    const data = this.data;
    if (index === data.time.length) return this.live;
    if (index < 0 || index > data.time.length) return null;
    return {
      time: data.time[index], open: data.open[index], high: data.high[index],
      low: data.low[index], close: data.close[index], volume: data.volume[index],
    };
  }

  layout() {
    const { width, height } = sizeOf(this.stage);
    const longest = number(this.data.close.at(-1) ?? 0, this.data.decimals).length;
    this.box = { width, height, right: width - Math.max(58, 14 + longest * 7), bottom: height - AXIS_HEIGHT };
    const shown = Math.max(10, Math.floor(this.box.right / this.barWidth) - RIGHT_ROOM);
    const count = this.count();
    this.shift = Math.max(0, Math.min(this.shift, count - Math.min(shown, count)));
    this.last = count - 1 - Math.round(this.shift);
    this.first = Math.max(0, this.last - shown + 1);
  }

  measure() {
    let high = -Infinity;
    let low = Infinity;
    let volume = 0;
    for (let i = this.first; i <= this.last; i++) {
      const bar = this.bar(i);
      if (bar.high > high) high = bar.high;
      if (bar.low < low) low = bar.low;
      if (bar.volume > volume) volume = bar.volume;
    }
    for (const level of this.shift ? [] : this.marks.levels) {
      high = Math.max(high, level.price);
      low = Math.min(low, level.price);
    }
    const pad = (high - low || Math.abs(high) * 0.001 || 1) * 0.06;
    this.range = { high: high + pad, low: low - pad, volume, bars: this.count() };
  }

  x(index) {
    const free = RIGHT_ROOM * this.barWidth;
    return this.box.right - free - (this.last - index + 0.5) * this.barWidth;
  }

  y(price) {
    const { high, low } = this.range;
    return TOP + ((high - price) / (high - low)) * (this.box.bottom - TOP - 8);
  }

  /** Returns the place of a time among the bars (its bar's index), or -1 outside of them. */
  indexAt(ms) {
    const times = this.data.time;
    const at = ms / 1000;
    if (this.live && at >= this.live.time) return times.length;
    let low = 0;
    let high = times.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (times[middle] <= at) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  paintBack() {
    const { width, height } = sizeOf(this.stage);
    const context = fit(this.back, width, height);
    if (!this.data?.time?.length) return;
    this.layout();
    this.measure();
    context.font = FONT;
    this.paintGrid(context);
    this.paintVolume(context);
    this.paintBars(context, this.first, Math.min(this.last, this.data.time.length - 1));
    this.paintLevels(context);
    this.paintMarks(context);
    redraw(this.drawFront);
  }

  paintGrid(context) {
    const { right, bottom } = this.box;
    context.strokeStyle = colour("grid");
    context.fillStyle = colour("soft");
    context.lineWidth = 1;
    context.textBaseline = "middle";
    context.textAlign = "left";
    context.beginPath();
    const decimals = this.data.decimals;
    const tags = this.shift ? [] : this.marks.levels.map((level) => this.y(level.price));
    for (const value of ticks(this.range.low, this.range.high, (bottom - TOP) / 56)) {
      const y = Math.round(this.y(value)) + 0.5;
      context.moveTo(0, y);
      context.lineTo(right, y);
      if (!tags.some((tag) => Math.abs(tag - y) < 15)) context.fillText(number(value, decimals), right + 7, y);
    }
    context.textAlign = "center";
    const step = timeStep((92 / this.barWidth) * this.step);
    let lastX = -Infinity;
    for (let i = this.first; i <= this.last; i++) {
      const time = this.bar(i).time;
      const isNew = i > 0 ? Math.floor(time / step) !== Math.floor(this.bar(i - 1).time / step) : false;
      const x = Math.round(this.x(i)) + 0.5;
      if (!isNew || x - lastX < 64 || x < 28) continue;
      lastX = x;
      context.moveTo(x, 0);
      context.lineTo(x, bottom);
      const isDay = step >= 86_400 || Math.floor(time / 86_400) !== Math.floor(this.bar(i - 1).time / 86_400);
      context.fillText(isDay ? day(time * 1000) : clock(time * 1000), x, bottom + AXIS_HEIGHT / 2);
    }
    context.stroke();
    context.fillText("UTC", right + (this.box.width - right) / 2, bottom + AXIS_HEIGHT / 2);
  }

  paintVolume(context) {
    if (!this.range.volume) return;
    const { bottom } = this.box;
    const full = (bottom - TOP) * VOLUME_SHARE;
    const wide = Math.max(1, Math.floor(this.barWidth * 0.7));
    context.fillStyle = colour("volume");
    context.beginPath();
    for (let i = this.first; i <= Math.min(this.last, this.data.time.length - 1); i++) {
      const tall = (this.data.volume[i] / this.range.volume) * full;
      context.rect(Math.round(this.x(i) - wide / 2), bottom - tall, wide, tall);
    }
    context.fill();
  }

  paintBars(context, first, last) {
    for (const name of ["rise", "fall"]) {
      context.beginPath();
      for (let i = first; i <= last; i++) {
        const bar = this.bar(i);
        if ((bar.close >= bar.open) === (name === "rise")) this.traceBar(context, i, bar);
      }
      context.fillStyle = colour(name);
      context.fill();
    }
  }

  traceBar(context, index, bar) {
    const x = Math.round(this.x(index));
    const wide = Math.max(1, Math.floor(this.barWidth * 0.68) | 1);
    const top = this.y(Math.max(bar.open, bar.close));
    const tall = Math.max(1, this.y(Math.min(bar.open, bar.close)) - top);
    context.rect(x, this.y(bar.high), 1, this.y(bar.low) - this.y(bar.high));
    context.rect(x - (wide >> 1), top, wide, tall);
  }

  paintLevels(context) {
    if (this.shift) return;
    const { right } = this.box;
    context.textBaseline = "middle";
    const taken = [];
    for (const level of this.marks.levels) {
      const y = Math.round(this.y(level.price)) + 0.5;
      const from = level.from ? Math.max(0, this.x(Math.max(this.first, this.indexAt(level.from)))) : 0;
      const hue = colour(level.colour);
      context.strokeStyle = hue;
      context.lineWidth = level.isDashed ? 1 : 1.5;
      context.setLineDash(level.isDashed ? [4, 4] : []);
      context.beginPath();
      context.moveTo(Math.min(from, right - 120), y);
      context.lineTo(right, y);
      context.stroke();
      context.setLineDash([]);
      this.paintLabel(context, level, freeFrom(taken, y, -3), hue);
    }
  }

  paintLabel(context, level, y, hue) {
    context.textAlign = "right";
    const wide = context.measureText(level.label).width;
    context.fillStyle = colour("card");
    context.globalAlpha = 0.85;
    context.fillRect(this.box.right - wide - 12, y - 8, wide + 8, 16);
    context.globalAlpha = 1;
    context.fillStyle = hue;
    context.fillText(level.label, this.box.right - 8, y);
  }

  paintTag(context, price, y, back, ink) {
    const { right, width } = this.box;
    context.fillStyle = back;
    context.beginPath();
    context.roundRect(right + 1, y - 9, width - right - 2, 18, 3);
    context.fill();
    context.fillStyle = ink;
    context.textAlign = "left";
    context.textBaseline = "middle";
    context.fillText(number(price, this.data.decimals), right + 7, y + 0.5);
  }

  paintMarks(context) {
    for (const signal of this.marks.signals) {
      const index = this.indexAt(signal.bar_at);
      if (index < this.first || index > this.last) continue;
      const bar = this.bar(index);
      const isLong = signal.direction === "long";
      const y = isLong ? this.y(bar.low) + 11 : this.y(bar.high) - 11;
      diamond(context, this.x(index), y, 4.5, colour(isLong ? "rise" : "fall"));
    }
    for (const fill of this.marks.fills) {
      const index = this.indexAt(fill.at);
      if (index < this.first || index > this.last) continue;
      const isBuy = fill.side === "buy";
      triangle(context, this.x(index), this.y(Number(fill.price)), isBuy, colour(isBuy ? "buy" : "sell"), colour("card"));
    }
  }

  paintFront() {
    const { width, height } = sizeOf(this.stage);
    const context = fit(this.front, width, height);
    if (!this.data?.time?.length || !this.range) return;
    context.font = FONT;
    if (this.live && !this.shift && this.last === this.count() - 1) {
      context.beginPath();
      this.traceBar(context, this.last, this.live);
      context.fillStyle = colour(this.live.close >= this.live.open ? "rise" : "fall");
      context.fill();
    }
    const price = this.price ?? this.data.close.at(-1);
    this.paintLevelTags(context, this.y(price));
    if (price >= this.range.low && price <= this.range.high) {
      const y = Math.round(this.y(price)) + 0.5;
      context.strokeStyle = colour("ink");
      context.setLineDash([2, 3]);
      context.beginPath();
      context.moveTo(0, y);
      context.lineTo(this.box.right, y);
      context.stroke();
      context.setLineDash([]);
      this.paintTag(context, price, y, colour("ink"), colour("card"));
    }
    this.paintPointer(context);
  }

  /** Writes the levels' prices at the axis, each as near to its line as the last price and the others allow. */
  paintLevelTags(context, priceY) {
    if (this.shift) return;
    const taken = [priceY];
    for (const level of this.marks.levels) {
      const y = this.y(level.price);
      this.paintTag(context, level.price, freeFrom(taken, y, y > priceY ? 3 : -3), colour(level.colour), colour("on-mark"));
    }
  }

  paintPointer(context) {
    const at = this.pointer;
    const index = at ? Math.round(this.last + (at.x - this.box.right + RIGHT_ROOM * this.barWidth) / this.barWidth + 0.5) : this.last;
    const bar = this.bar(Math.max(this.first, Math.min(index, this.last)));
    this.tell(bar);
    if (!at || at.y > this.box.bottom || at.x > this.box.right) return;
    const x = Math.round(this.x(Math.max(this.first, Math.min(index, this.last)))) + 0.5;
    const y = Math.round(at.y) + 0.5;
    context.strokeStyle = colour("soft");
    context.setLineDash([3, 3]);
    context.beginPath();
    context.moveTo(x, 0);
    context.lineTo(x, this.box.bottom);
    context.moveTo(0, y);
    context.lineTo(this.box.right, y);
    context.stroke();
    context.setLineDash([]);
    const { high, low } = this.range;
    const price = high - ((y - TOP) / (this.box.bottom - TOP - 8)) * (high - low);
    this.paintTag(context, price, y, colour("soft"), colour("card"));
    this.paintTime(context, bar.time * 1000, x);
  }

  paintTime(context, ms, x) {
    const text = `${day(ms)} ${clock(ms)}`;
    const half = context.measureText(text).width / 2 + 7;
    const middle = Math.max(half, Math.min(x, this.box.right - half));
    context.fillStyle = colour("soft");
    context.beginPath();
    context.roundRect(middle - half, this.box.bottom + 2, 2 * half, AXIS_HEIGHT - 4, 3);
    context.fill();
    context.fillStyle = colour("card");
    context.textAlign = "center";
    context.fillText(text, middle, this.box.bottom + AXIS_HEIGHT / 2);
  }

  tell(bar) {
    if (!bar) return;
    const d = this.data.decimals;
    const change = (bar.close / bar.open - 1) * 100;
    const values = { open: number(bar.open, d), high: number(bar.high, d), low: number(bar.low, d), close: number(bar.close, d) };
    const text = `${word("chart.bar", values)}  ${signed(change)}\u00a0%`;
    if (this.readout.textContent === text) return;
    this.readout.textContent = text;
    this.readout.className = `readout ${trend(change)}`;
  }

  listen() {
    const { stage } = this;
    let drag = null;
    stage.addEventListener("pointermove", (event) => {
      const box = stage.getBoundingClientRect();
      this.pointer = { x: event.clientX - box.left, y: event.clientY - box.top };
      if (drag) this.pan(drag.shift + (event.clientX - drag.x) / this.barWidth);
      redraw(this.drawFront);
    });
    stage.addEventListener("pointerdown", (event) => {
      drag = { x: event.clientX, shift: this.shift };
      if (event.pointerType === "mouse") stage.setPointerCapture(event.pointerId);
    });
    for (const name of ["pointerup", "pointercancel"]) stage.addEventListener(name, () => (drag = null));
    stage.addEventListener("pointerleave", () => {
      this.pointer = null;
      redraw(this.drawFront);
    });
    stage.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.shiftKey && document.activeElement !== stage) return;
      event.preventDefault();
      this.zoom(event.deltaY < 0 ? 1.15 : 1 / 1.15);
    }, { passive: false });
    stage.addEventListener("keydown", (event) => {
      const act = {
        ArrowLeft: () => this.pan(this.shift + 5), ArrowRight: () => this.pan(this.shift - 5),
        "+": () => this.zoom(1.2), "-": () => this.zoom(1 / 1.2), End: () => this.pan(0),
      }[event.key];
      if (!act) return;
      event.preventDefault();
      act();
    });
  }

  pan(shift) {
    this.shift = Math.max(0, shift);
    this.redrawAll();
  }

  zoom(by) {
    this.barWidth = Math.max(BAR_WIDTH.least, Math.min(BAR_WIDTH.most, this.barWidth * by));
    this.redrawAll();
  }
}

/** Returns a height near the wanted one where nothing is written yet, and takes it. */
function freeFrom(taken, y, step) {
  let free = y;
  while (taken.some((other) => Math.abs(other - free) < 18)) free += step;
  taken.push(free);
  return free;
}

function diamond(context, x, y, size, hue) {
  context.strokeStyle = hue;
  context.lineWidth = 1.5;
  context.beginPath();
  context.moveTo(x, y - size);
  context.lineTo(x + size, y);
  context.lineTo(x, y + size);
  context.lineTo(x - size, y);
  context.closePath();
  context.stroke();
}

function triangle(context, x, y, isUp, hue, edge) {
  const tall = isUp ? 9 : -9;
  context.beginPath();
  context.moveTo(x, y);
  context.lineTo(x + 5.5, y + tall);
  context.lineTo(x - 5.5, y + tall);
  context.closePath();
  context.fillStyle = hue;
  context.strokeStyle = edge;
  context.lineWidth = 1.5;
  context.stroke();
  context.fill();
}
