// Tables: a row for each key, cells changed where they differ.

import { make, setClass, setText, sync } from "./dom.js";
import { redraw } from "./frames.js";
import { all, get, on } from "./store.js";
import { NONE, clock, code, money, moment, number, onLanguage, percent, quantity, recent, signed, signedPercent, trend, word } from "./words.js";

const price = (row, value) => (value === null ? NONE : number(value, decimals(row.symbol)));
const decimals = (symbol) => get(`symbol/${symbol}`)?.decimals ?? 2;
const MOST_NAMES = 2;
const newest = (name) => (one, other) => other[name] - one[name];
const bySymbol = (one, other) => one.symbol.localeCompare(other.symbol);

/** Column: words of its head, text of a row, and further: class, `n` for numbers, `o` and `oo` for what narrow tables leave out. */
const TABLES = {
  positions: {
    prefix: "position/", sort: (one, other) => bySymbol(one, other) || one.book.localeCompare(other.book),
    columns: [
      ["symbol", (row) => row.symbol, "key"],
      ["book", (row) => book(row.book), "soft"],
      ["quantity", (row) => quantity(row.quantity), "n"],
      ["average", (row) => price(row, row.average_price), "n o"],
      ["mark", (row) => price(row, row.mark), "n oo"],
      ["stop", (row) => price(row, row.stop_loss), "n o"],
      ["target", (row) => price(row, row.take_profit), "n o"],
      ["value", (row) => money(row.notional), "n o"],
      ["pnl", (row) => signed(row.unrealised), "n", (row) => trend(row.unrealised)],
      ["pnl_pct", (row) => signedPercent(row.unrealised_pct), "n", (row) => trend(row.unrealised)],
    ],
  },
  orders: {
    prefix: "order/", sort: newest("created_at"),
    columns: [
      ["symbol", (row) => row.symbol, "key"],
      ["book", (row) => book(row.book), "soft oo"],
      ["side", (row) => code("side", row.side), "", (row) => row.side],
      ["kind", (row) => code("role", row.role === "entry" ? row.order_type : row.role), "soft"],
      ["quantity", (row) => quantity(row.quantity), "n"],
      ["filled", (row) => quantity(row.filled_quantity), "n o"],
      ["price", (row) => price(row, row.price), "n"],
      ["status", (row) => code("status", row.status), "soft o"],
    ],
  },
  fills: {
    prefix: "fill/", sort: newest("at"), most: 40,
    columns: [
      ["time", (row) => moment(row.at), "soft"],
      ["symbol", (row) => row.symbol, "key"],
      ["book", (row) => book(row.book), "soft oo"],
      ["side", (row) => code("side", row.side), "", (row) => row.side],
      ["quantity", (row) => quantity(row.quantity), "n"],
      ["price", (row) => price(row, row.price), "n"],
      ["fee", (row) => number(row.fee, 2, 4), "n o"],
    ],
  },
  alerts: {
    prefix: "alert/", sort: (one, other) => (other.told_at ?? 0) - (one.told_at ?? 0) || other.created_at - one.created_at, most: 60,
    columns: [
      ["symbol", (row) => row.symbol, "key"],
      ["condition", (row) => `${code("condition", row.condition)}${row.timeframe ? ` · ${row.timeframe}` : ""}`, ""],
      ["level", (row) => level(row), "n"],
      ["told", (row) => (row.told_at ? recent(row.told_at) : word("alerts.waiting")), "soft", (row) => (row.told_at ? "told" : "")],
    ],
  },
  models: {
    prefix: "model/", sort: bySymbol,
    columns: [
      ["symbol", (row) => learned(row.symbol.split(", ")), "key"],
      ["timeframe", (row) => row.timeframe, "soft"],
      ["state_head", (row) => code("models.state", row.state) + (row.reason ? ` · ${code("reason", row.reason)}` : ""), "", (row) => row.state],
      ["skill", (row) => signedPercent(row.skill_pct, 1), "n", (row) => trend(row.skill_pct)],
      ["measured", (row) => number(row.measured, 0), "n o"],
      ["trained", (row) => moment(row.trained_at), "soft o"],
    ],
  },
  feeds: {
    prefix: "feed/", sort: (one, other) => other.is_stale - one.is_stale || bySymbol(one, other),
    columns: [
      ["symbol", (row) => row.symbol, "key"],
      ["state", (row) => (row.is_stale ? code("reason", row.reason || "stale") : word("feeds.live")), "", (row) => (row.is_stale ? "bad" : "good")],
      ["quote", (row) => (row.is_stale ? moment(row.last_quote_at) : clock(row.last_quote_at)), "soft n"],
      ["bar", (row) => moment(row.last_bar_at), "soft o"],
    ],
  },
};

const book = (name) => (name === "main" ? word("positions.main") : get(`agent/${name}`)?.title ?? name);

/** Says from which symbols a model learned: by name where there is room for the names. */
const learned = (symbols) => (symbols.length > MOST_NAMES ? word("models.many", { count: symbols.length }) : symbols.join(", "));

function level(row) {
  if (row.value === null) return "";
  if (row.condition.startsWith("change")) return percent(row.value, 2);
  return row.condition.startsWith("price") ? price(row, row.value) : number(row.value, 0, 2);
}

/** Shows all tables in the elements with their names as ids. */
export function showTables() {
  for (const [name, table] of Object.entries(TABLES)) {
    const element = document.getElementById(name);
    const draw = () => paint(element, name, table);
    on(table.prefix, () => redraw(draw));
    if (table.columns.some(([column]) => column === "book")) {
      on("agent/", () => element.dataset.agents !== String(all("agent/").length) && redraw(draw));
    }
    onLanguage(() => redraw(draw));
  }
}

function paint(element, name, table) {
  element.dataset.agents = String(all("agent/").length);
  const rows = all(table.prefix).map(([key, row]) => ({ key, ...row })).sort(table.sort);
  const section = element.closest("section");
  section.classList.toggle("is-empty", !rows.length);
  if (!rows.length) {
    sync(element, [["none", () => make("p", "empty"), (part) => setText(part, word(`${name}.none`))]]);
    return;
  }
  sync(element, [["table", () => make("table", "", make("thead", "", make("tr")), make("tbody")), (part) => fill(part, name, table, rows)]]);
}

function fill(element, name, table, rows) {
  const [head, body] = [element.tHead.rows[0], element.tBodies[0]];
  sync(head, table.columns.map(([column, , className]) => [column, () => make("th", className), (cell) => {
    cell.scope = "col";
    setText(cell, word(`${name}.${column}`));
  }]));
  sync(body, rows.slice(0, table.most ?? 200).map((row) => [row.key, () => make("tr", "", ...table.columns.map(([, , className]) => make("td", className))), (line) => {
    table.columns.forEach(([, text, className, tone], i) => {
      setText(line.children[i], text(row));
      if (tone) setClass(line.children[i], `${className} ${tone(row)}`);
    });
  }]));
}
