// One card for each agent: equity and its curve, drawdown against its limit, results beside what is hoped for.

import { paintCurve } from "./curve.js";
import { make, onScheme, setClass, setText, sync } from "./dom.js";
import { redraw } from "./frames.js";
import { all, get, on } from "./store.js";
import { NONE, code, money, number, onLanguage, percent, signed, signedPercent, trend, word } from "./words.js";

const TONES = { running: "good", paused: "watch", stopped: "off", created: "off", halted: "bad" };

/** Shows the agents in an element. */
export function showAgents(element) {
  const cards = new Map();
  const drawCards = () => {
    const agents = all("agent/").sort((one, other) => one[1].place - other[1].place);
    if (!agents.length) {
      sync(element, [["", () => make("p", "panel empty"), (part) => setText(part, word("agents.none"))]]);
      return;
    }
    sync(element, agents.map(([name]) => [name, () => create(cards, name), () => redraw(cards.get(name).draw)]));
  };
  const touch = (name) => {
    if (get(`agent/${name}`) && cards.has(name)) redraw(cards.get(name).draw);
    else redraw(drawCards);
  };
  const touchAll = () => {
    redraw(drawCards);
    for (const card of cards.values()) card.drawn = null;
  };
  on("agent/", (key) => touch(key.slice(6)));
  on("curve/", (key) => touch(key.slice(6)));
  onLanguage(touchAll);
  onScheme(touchAll);
  new ResizeObserver(touchAll).observe(element);
}

const present = (agent) => ({ at: marketNow(), equity: agent.equity, fall: agent.drawdown_pct });

/** Returns the market's present: a replay has its own. */
function marketNow() {
  const [quote] = all("quote/");
  return quote?.[1].at ?? Date.now();
}

function create(cards, name) {
  const part = (tag, className) => make(tag, className);
  const card = {
    title: part("h3", ""), kind: part("span", "kind"), state: part("span", "chip"),
    equity: part("b", "equity"), pnl: part("span", "pnl"), canvas: part("canvas", "curve"),
    meter: part("i", ""), fall: part("span", "meter-text"), rows: part("dl", "results"),
  };
  card.canvas.setAttribute("role", "img");
  card.track = make("span", "meter", card.meter);
  card.draw = () => draw(card, get(`agent/${name}`), get(`curve/${name}`) ?? []);
  cards.set(name, card);
  return make(
    "article", "panel agent",
    make("header", "", make("div", "who", card.title, card.kind), card.state),
    make("p", "worth", card.equity, card.pnl),
    card.canvas,
    make("p", "drawdown", card.fall, card.track),
    card.rows,
  );
}

/** Brings a card up to date; its curve only when it or the equity has changed. */
function draw(card, agent, curve) {
  if (!agent) return;
  paintCard(card, agent);
  if (card.drawn?.curve === curve && card.drawn.equity === agent.equity) return;
  card.drawn = { curve, equity: agent.equity };
  paintCurve(card.canvas, curve, present(agent), agent.drawdown_limit_pct);
}

function paintCard(card, agent) {
  setText(card.title, agent.title);
  setText(card.kind, code("temperament", agent.temperament));
  setText(card.state, code("agents.state", agent.state));
  setClass(card.state, `chip ${TONES[agent.state] ?? "off"}`);
  card.state.title = agent.reason ? code("reason", agent.reason) : "";
  setText(card.equity, money(agent.equity));
  setText(card.pnl, `${signed(agent.pnl)}  (${signedPercent(agent.return_pct)})`);
  setClass(card.pnl, `pnl ${trend(agent.pnl)}`);
  const share = Number(agent.drawdown_limit_pct) ? Number(agent.drawdown_pct) / Number(agent.drawdown_limit_pct) : 0;
  card.meter.style.width = `${Math.min(100, share * 100)}%`;
  setClass(card.meter, share > 0.8 ? "bad" : share > 0.5 ? "watch" : "good");
  const fall = { fall: percent(agent.drawdown_pct), limit: percent(agent.drawdown_limit_pct) };
  setText(card.fall, word("agents.drawdown", fall));
  const label = `${agent.title}: ${word("agents.curve")}, ${money(agent.equity)}; ${card.fall.textContent}`;
  if (card.canvas.getAttribute("aria-label") !== label) card.canvas.setAttribute("aria-label", label);
  sync(card.rows, results(agent).map((row) => [row.name, () => make("div", "", make("dt"), make("dd"), make("dd", "target")), (part) => {
    const [name, value, target] = part.children;
    setText(name, word(`agents.${row.name}`));
    setText(value, row.value);
    setClass(value, row.tone ?? "");
    setText(target, row.target);
  }]));
}

function results(agent) {
  const [low, high] = agent.target_monthly_pct;
  const wish = high === null ? word("agents.or_more", { low: percent(low, 0) }) : word("agents.between", { low: number(low, 0, 1), high: percent(high, 0) });
  const hoped = (target) => word("agents.hoped", { target });
  return [
    { name: "month", value: signedPercent(agent.monthly_pct, 1), target: hoped(wish), tone: trend(agent.monthly_pct) },
    {
      name: "win_rate", value: percent(agent.win_rate_pct, 0),
      target: agent.target_win_rate_pct === null ? "" : hoped(word("agents.or_more", { low: percent(agent.target_win_rate_pct, 0) })),
    },
    { name: "round_trips", value: agent.round_trips ? number(agent.round_trips, 0) : NONE, target: "" },
    { name: "positions", value: number(agent.held, 0), target: word("agents.of", { most: number(agent.max_positions, 0) }) },
  ];
}
