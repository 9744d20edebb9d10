// The list of symbols. Only rows that a tick concerns and that can be seen are touched.

import { paintSpark } from "./curve.js";
import { make, onScheme, setClass, setText, sync } from "./dom.js";
import { redraw } from "./frames.js";
import { all, get, on } from "./store.js";
import { NONE, number, onLanguage, signedPercent, trend, word } from "./words.js";

/** Lists the symbols; `choose(symbol)` hears what a person picks. */
export class Watch {
  constructor(list, filter, choose) {
    Object.assign(this, { list, filter, choose });
    this.rows = new Map();
    this.seen = new Set();
    this.stale = new Set();
    this.last = new Map();
    this.chosen = "";
    this.observer = new IntersectionObserver((entries) => this.notice(entries), { root: null, rootMargin: "60px" });
    this.drawList = () => this.paintList();
    this.drawRows = () => this.paintRows();
    on("symbol/", (key) => this.touch(key.slice(7), true));
    on("quote/", (key) => this.touch(key.slice(6)));
    on("feed/", (key) => this.touch(key.slice(5)));
    filter.addEventListener("input", () => redraw(this.drawList));
    list.addEventListener("click", (event) => this.pick(event.target.closest("[data-symbol]")));
    list.addEventListener("keydown", (event) => this.move(event));
    onLanguage(() => this.touchAll());
    onScheme(() => this.touchAll());
    new ResizeObserver(() => this.touchAll()).observe(list);
  }

  /** Marks the symbol whose chart is shown. */
  mark(symbol) {
    this.chosen = symbol;
    for (const [name, row] of this.rows) {
      row.button.setAttribute("aria-selected", String(name === symbol));
      row.button.tabIndex = name === symbol ? 0 : -1;
    }
    this.rows.get(symbol)?.button.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  touch(symbol, isList = false) {
    if (isList) redraw(this.drawList);
    this.stale.add(symbol);
    if (this.seen.has(symbol)) redraw(this.drawRows);
  }

  touchAll() {
    for (const [symbol, row] of this.rows) {
      row.closes = null;
      this.touch(symbol);
    }
  }

  notice(entries) {
    for (const { target, isIntersecting } of entries) {
      const { symbol } = target.dataset;
      if (isIntersecting) this.seen.add(symbol);
      else this.seen.delete(symbol);
      if (isIntersecting && this.stale.has(symbol)) redraw(this.drawRows);
    }
  }

  pick(row) {
    if (row) this.choose(row.dataset.symbol);
  }

  move(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const row = event.target.closest("[data-symbol]");
    if (!step || !row) return;
    event.preventDefault();
    const next = step > 0 ? row.nextElementSibling : row.previousElementSibling;
    if (!next) return;
    next.focus();
    this.pick(next);
  }

  paintList() {
    const wanted = this.filter.value.trim().toLowerCase();
    const symbols = all("symbol/").filter(([symbol]) => symbol.toLowerCase().includes(wanted));
    symbols.sort((one, other) => one[1].place - other[1].place);
    sync(this.list, symbols.map(([symbol]) => [symbol, () => this.create(symbol), () => {}]));
    for (const symbol of this.rows.keys()) {
      if (!this.list.byKey.has(symbol)) {
        this.observer.unobserve(this.rows.get(symbol).button);
        this.rows.delete(symbol);
        this.seen.delete(symbol);
      }
    }
    if (this.chosen) this.mark(this.chosen);
  }

  create(symbol) {
    const name = make("span", "name", symbol);
    const spark = make("canvas", "spark");
    spark.setAttribute("aria-hidden", "true");
    const price = make("span", "price", NONE);
    const change = make("span", "change");
    const button = make("button", "row", name, spark, price, change);
    Object.assign(button, { type: "button", tabIndex: -1 });
    button.setAttribute("role", "option");
    button.setAttribute("aria-selected", "false");
    button.dataset.symbol = symbol;
    this.rows.set(symbol, { button, spark, price, change, closes: null });
    this.observer.observe(button);
    this.stale.add(symbol);
    return button;
  }

  paintRows() {
    for (const symbol of this.stale) {
      if (!this.seen.has(symbol)) continue;
      this.stale.delete(symbol);
      this.paintRow(symbol);
    }
  }

  paintRow(symbol) {
    const row = this.rows.get(symbol);
    const about = get(`symbol/${symbol}`);
    if (!row || !about) return;
    const quote = get(`quote/${symbol}`);
    const price = quote ? (Number(quote.bid) + Number(quote.ask)) / 2 : null;
    const before = this.last.get(symbol) ?? price;
    if (price !== before) setClass(row.price, `price ${price > before ? "rise" : "fall"}`);
    this.last.set(symbol, price);
    setText(row.price, quote ? number(price, about.decimals) : NONE);
    setText(row.change, quote ? signedPercent(quote.change_pct) : "");
    setClass(row.change, `change ${trend(quote?.change_pct)}`);
    const feed = get(`feed/${symbol}`);
    const dull = feed?.is_stale ? "stale" : quote && !quote.is_open ? "closed" : "";
    setClass(row.button, `row ${dull}`);
    const title = dull ? word(`watch.${dull}`) : "";
    if (row.button.title !== title) row.button.title = title;
    if (row.closes !== about.closes) {
      row.closes = about.closes;
      paintSpark(row.spark, about.closes);
    }
  }
}
