// The page: what is shown where, and what a person chose.

import { showAgents } from "./agents.js";
import { Chart } from "./chart.js";
import { make, setClass, setText, sync } from "./dom.js";
import { afterFrame, redraw } from "./frames.js";
import { wireHalt } from "./halt.js";
import { all, get, on, take } from "./store.js";
import { Stream } from "./stream.js";
import { showTables } from "./tables.js";
import { Watch } from "./watch.js";
import { clock, code, loadWords, money, moment, number, onLanguage, percent, signed, trend, word } from "./words.js";

const STEPS = { "1m": 60, "5m": 300, "15m": 900, "30m": 1800, "1h": 3600, "4h": 14_400, "1d": 86_400, "1w": 604_800 };
const byId = (id) => document.getElementById(id);
const chosen = { symbol: recall("symbol") ?? "", timeframe: recall("timeframe") ?? "1h" };
let connection = { state: "connecting", reason: "" };

function recall(name) {
  try {
    return localStorage.getItem(`dashboard.${name}`);
  } catch {
    return null;
  }
}

function remember(name, value) {
  try {
    localStorage.setItem(`dashboard.${name}`, value);
  } catch {
    // A browser that keeps nothing begins anew each time.
  }
}

/* The chart that was chosen */

const chart = new Chart(byId("stage"), byId("chart-back"), byId("chart-front"), byId("readout"));
const watch = new Watch(byId("watch"), byId("filter"), (symbol) => choose({ symbol }));
const chartKey = () => `chart/${chosen.timeframe}/${chosen.symbol}`;

function choose(change) {
  Object.assign(chosen, change);
  remember("symbol", chosen.symbol);
  remember("timeframe", chosen.timeframe);
  watch.mark(chosen.symbol);
  chart.reset();
  chart.show(null);
  stream.look(chosen.symbol, chosen.timeframe);
  tick();
  redraw(drawChartHead);
  redraw(showChart);
}

function showChart() {
  const data = get(chartKey());
  const isEmpty = !data?.time?.length;
  const text = !isEmpty ? "" : word(data ? "chart.none" : "chart.loading");
  byId("chart-empty").hidden = !isEmpty;
  setText(byId("chart-empty"), text);
  chart.show(isEmpty ? null : data, STEPS[chosen.timeframe]);
  showMarks();
}

function showMarks() {
  const { symbol, timeframe } = chosen;
  const signals = all("signal/").map(([, each]) => each).filter((each) => each.symbol === symbol && each.direction !== "none");
  const present = signals.filter((each) => each.valid_until > marketNow());
  present.sort((one, other) => (other.timeframe === timeframe) - (one.timeframe === timeframe) || other.bar_at - one.bar_at);
  chart.mark({
    signals: signals.filter((each) => each.timeframe === timeframe),
    fills: all("fill/").map(([, each]) => each).filter((each) => each.symbol === symbol),
    levels: [...levelsOf(present[0]), ...positionLevels(symbol)],
  });
  describeChart(present[0]);
}

function levelsOf(signal) {
  if (!signal) return [];
  return ["entry", "stop", "target"].map((name) => ({
    price: signal[name], from: signal.bar_at, colour: name, label: word(`chart.${name}`),
  }));
}

function positionLevels(symbol) {
  return all("position/").filter(([, each]) => each.symbol === symbol).map(([, each]) => ({
    price: Number(each.average_price), colour: "soft", isDashed: true,
    label: word("chart.position", { book: each.book === "main" ? word("positions.main") : get(`agent/${each.book}`)?.title ?? each.book }),
  }));
}

function describeChart(signal) {
  const parts = [`${chosen.symbol} ${chosen.timeframe}`];
  if (signal) {
    const values = Object.fromEntries(["entry", "stop", "target"].map((name) => [name, number(signal[name], decimals())]));
    parts.push(word("chart.signal_text", { direction: code("direction", signal.direction), ...values }));
  }
  byId("stage").setAttribute("aria-label", parts.join(": "));
  byId("stage").setAttribute("role", "img");
}

const decimals = () => get(`symbol/${chosen.symbol}`)?.decimals ?? 2;
const marketNow = () => get(`quote/${chosen.symbol}`)?.at ?? Date.now();

function tick() {
  const quote = get(`quote/${chosen.symbol}`);
  if (!quote) return;
  chart.tick((Number(quote.bid) + Number(quote.ask)) / 2, quote.at);
  redraw(drawPrice);
}

function drawPrice() {
  const quote = get(`quote/${chosen.symbol}`);
  const part = byId("chart-price");
  setText(part, quote ? `${number(quote.bid, decimals())} / ${number(quote.ask, decimals())}` : "");
  setClass(part, trend(quote?.change_pct));
}

function drawChartHead() {
  setText(byId("chart-name"), chosen.symbol);
  sync(byId("timeframes"), Object.keys(STEPS).map((name) => [name, () => {
    const button = make("button", "", name);
    button.type = "button";
    button.addEventListener("click", () => choose({ timeframe: name }));
    return button;
  }, (button) => button.setAttribute("aria-pressed", String(name === chosen.timeframe))]));
  const legend = ["entry", "stop", "target", "signal", "buy", "sell"];
  sync(byId("legend"), legend.map((name) => [name, () => make("li", name), (part) => setText(part, word(`chart.${name}`))]));
}

/* The head of the page */

/** Says whose money and whose prices these are; real money stands out. */
function drawWorld(trading) {
  const chip = byId("world");
  const isPaper = !trading || trading.venue === "paper";
  const invented = trading?.is_simulated ? word("page.simulated") : "";
  setText(chip, trading ? [code("venue", trading.venue), invented].filter(Boolean).join(" · ") : "");
  setClass(chip, `chip ${isPaper ? "watch" : trading.venue === "binance" ? "bad real" : "watch"}`);
}

function drawHead() {
  const trading = get("trading");
  const account = get("account");
  const chip = byId("trading");
  setText(chip, trading ? code("trading", trading.state) : "");
  setClass(chip, `chip ${{ active: "good", reducing: "watch", halted: "bad" }[trading?.state] ?? "off"}`);
  drawWorld(trading);
  const isHalted = trading?.state === "halted";
  byId("kill").disabled = isHalted && trading.is_settled;
  const rows = account ? [
    ["equity", `${money(account.equity)} ${account.currency}`, ""],
    ["day", signed(account.day_pnl), trend(account.day_pnl)],
    ["cash", money(account.cash), ""],
    ["exposure", money(account.exposure), ""],
    ["drawdown", account.drawdown_limit_pct === null ? percent(account.drawdown_pct)
      : word("account.of", { fall: percent(account.drawdown_pct), limit: percent(account.drawdown_limit_pct) }), ""],
  ] : [];
  sync(byId("figures"), rows.map(([name, text, tone]) => [name, () => make("div", name, make("dt"), make("dd")), (part) => {
    setText(part.children[0], word(`account.${name}`));
    setText(part.children[1], text);
    setClass(part.children[1], tone);
  }]));
  drawBanner(trading);
}

function drawBanner(trading) {
  const troubles = all("trouble/").map(([name]) => word(`trouble.${name}`));
  const lines = [];
  if (trading?.state === "halted") {
    const values = { by: trading.by, at: moment(trading.at), reason: trading.reason };
    lines.push(word(trading.is_settled ? "trading.halted_by" : "trading.halting_by", values));
  }
  if (troubles.length) lines.push(word("trouble.old", { what: troubles.join(", ") }));
  const banner = byId("banner");
  setText(banner, lines.join(" "));
  setClass(banner, `banner ${trading?.state === "halted" ? "bad" : "watch"}`);
  banner.hidden = !lines.length;
}

function drawConnection() {
  const chip = byId("connection");
  const tone = { live: "good", connecting: "watch", lost: "bad" }[connection.state];
  const reason = connection.reason ? ` · ${code("connection", connection.reason)}` : "";
  setText(chip, word(`connection.${connection.state}`) + reason);
  setClass(chip, `chip connection ${tone}`);
  chip.title = connection.at ? word("connection.since", { at: clock(connection.at) }) : "";
  document.body.classList.toggle("is-old", connection.state === "lost");
}

function setConnection(state, reason = "") {
  if (state === "connecting" && connection.state === "lost") return;
  if (state === connection.state && reason === connection.reason) return;
  connection = { state, reason, at: Date.now() };
  redraw(drawConnection);
  if (state === "lost") checkSignedIn();
}

async function checkSignedIn() {
  const answer = await fetch("words").catch(() => null);
  if (answer?.status === 401) location.assign("/login");
}

/* Beginning */

function drawLanguages(told) {
  sync(byId("languages"), told.languages.map((name) => [name, () => {
    const button = make("button", "", name.toUpperCase());
    button.type = "button";
    button.lang = name;
    button.addEventListener("click", async () => {
      remember("language", name);
      drawLanguages(await loadWords(name));
    });
    return button;
  }, (button) => button.setAttribute("aria-pressed", String(name === told.language))]));
}

on("quote/", (key) => {
  if (key === `quote/${chosen.symbol}`) tick();
});
on("chart/", (key) => {
  if (key === chartKey()) redraw(showChart);
});
for (const prefix of ["signal/", "fill/", "position/"]) on(prefix, (key) => (get(key)?.symbol ?? chosen.symbol) === chosen.symbol && redraw(showMarks));
on("symbol/", () => {
  if (!get(`symbol/${chosen.symbol}`)) {
    const [first] = all("symbol/").sort((one, other) => one[1].place - other[1].place);
    if (first) choose({ symbol: first[0] });
  }
});
for (const key of ["trading", "account", "trouble/"]) on(key, () => redraw(drawHead));
onLanguage(() => {
  for (const part of [drawHead, drawConnection, drawChartHead, showChart]) redraw(part);
});

const told = await loadWords(recall("language"));
if (told) drawLanguages(told);
document.body.classList.remove("is-loading");
showAgents(byId("agents"));
showTables();
wireHalt();

const stream = new Stream(new URL("stream", location.href).href.replace(/^http/, "ws"), {
  onState: setConnection,
  onFrame: (frame, done) => {
    take(frame);
    afterFrame(done);
  },
});
if (chosen.symbol) {
  stream.chart = { ...chosen };
  watch.mark(chosen.symbol);
}
redraw(drawChartHead);
