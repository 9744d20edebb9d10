// The language of the page: its words, numbers and times. Prices and money come as exact text and are only grouped.

let words = {};
let language = "en";
const formats = new Map();
const listeners = [];
const MINUS = "\u2212";
export const NONE = "–";

/** Fetches the words of a language; of the one that the server prefers for none. */
export async function loadWords(wanted) {
  const answer = await fetch(`words${wanted ? `?language=${encodeURIComponent(wanted)}` : ""}`);
  if (answer.status === 401) {
    location.assign("/login");
    return null;
  }
  if (!answer.ok) throw new Error(`words: ${answer.status}`);
  const told = await answer.json();
  ({ words, language } = told);
  formats.clear();
  document.documentElement.lang = language;
  document.title = word("page.title");
  for (const part of document.querySelectorAll("[data-word]")) part.textContent = word(part.dataset.word);
  for (const part of document.querySelectorAll("[data-label]")) part.setAttribute("aria-label", word(part.dataset.label));
  for (const part of document.querySelectorAll("[data-title]")) part.title = word(part.dataset.title);
  for (const part of document.querySelectorAll("[data-placeholder]")) part.placeholder = word(part.dataset.placeholder);
  for (const call of listeners) call();
  return told;
}

/** Calls whenever the language changed. */
export const onLanguage = (call) => listeners.push(call);

/** Returns the words under a path of names, with placeholders filled. */
export function word(path, values = {}) {
  const found = path.split(".").reduce((at, name) => at?.[name], words);
  if (typeof found !== "string") return path.slice(path.lastIndexOf(".") + 1).replaceAll("_", " ");
  return found.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
}

/** Returns how a stable code of a group is said; a code without words is shown as it is. */
export const code = (group, name) => (name ? word(`${group}.${name}`) : "");

function format(kind, options) {
  const key = kind + JSON.stringify(options);
  let known = formats.get(key);
  if (!known) {
    // Spanish would leave four digits ungrouped, which reads badly in a column.
    known = kind === "number" ? new Intl.NumberFormat(language, { useGrouping: "always", ...options })
      : new Intl.DateTimeFormat(language, { timeZone: "UTC", ...options });
    formats.set(key, known);
  }
  return known;
}

/** Returns a number (exact text is kept exact) with this many decimals. */
export function number(value, decimals, most = decimals, signDisplay = "negative") {
  if (value === null || value === undefined) return NONE;
  const options = { minimumFractionDigits: decimals, maximumFractionDigits: most, signDisplay };
  return format("number", options).format(value).replace("-", MINUS);
}

/** Returns a quantity with as many decimals as it has, eight at most. */
export const quantity = (value) => number(value, 0, 8);

/** Returns money with two decimals; with its sign where it is a gain or a loss. */
export const money = (value) => number(value, 2);

/** Returns a number with a plus or minus sign. */
export const signed = (value, decimals = 2) => number(value, decimals, decimals, "exceptZero");

/** Returns percent. */
export const percent = (value, decimals = 1) =>
  value === null || value === undefined ? NONE : `${number(value, decimals)}\u00a0%`;
export const signedPercent = (value, decimals = 2) =>
  value === null || value === undefined ? NONE : `${signed(value, decimals)}\u00a0%`;

/** Returns a time of day, or a day and time, in UTC. */
export const clock = (ms) => (ms ? format("time", { hour: "2-digit", minute: "2-digit", hourCycle: "h23" }).format(ms) : NONE);
export const day = (ms) => format("time", { day: "numeric", month: "short" }).format(ms);
export const moment = (ms) => (ms ? `${day(ms)}, ${clock(ms)}` : NONE);

/** Returns the time of day of what was within a day, else the day. */
export const recent = (ms) => (Date.now() - ms < 86_400_000 ? clock(ms) : day(ms));

/** Returns `rise`, `fall` or nothing: the class of a gain or a loss. */
export const trend = (value) => (Number(value) > 0 ? "rise" : Number(value) < 0 ? "fall" : "");
