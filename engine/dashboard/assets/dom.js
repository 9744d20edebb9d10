// Small parts of the page: elements are made once and changed where they differ, never written as HTML.

/** Returns a new element with a class and text or children. */
export function make(tag, className = "", ...content) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...content);
  return element;
}

/** Sets text where it differs: untouched text costs no layout. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Sets the class where it differs. */
export function setClass(element, className) {
  if (element.className !== className) element.className = className;
}

/** Makes the children of an element those of a list: `[key, make(), update(element)]`, reusing what is there. */
export function sync(parent, items) {
  const known = (parent.byKey ??= new Map());
  const kept = new Set();
  let at = parent.firstElementChild;
  for (const [key, create, update] of items) {
    kept.add(key);
    let element = known.get(key);
    if (!element) {
      element = create();
      known.set(key, element);
    }
    if (element === at) at = at.nextElementSibling;
    else parent.insertBefore(element, at);
    update(element);
  }
  for (const [key, element] of known) {
    if (kept.has(key)) continue;
    element.remove();
    known.delete(key);
  }
}

const colours = new Map();
const dark = matchMedia("(prefers-color-scheme: dark)");

/** Returns a colour of the style sheet, for canvases. */
export function colour(name) {
  if (!colours.has(name)) colours.set(name, getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim());
  return colours.get(name);
}

/** Calls when the colour scheme changed. */
export function onScheme(call) {
  dark.addEventListener("change", () => {
    colours.clear();
    call();
  });
}

const sizes = new WeakMap();
const observer = new ResizeObserver((entries) => {
  for (const { target, contentRect } of entries) sizes.set(target, { width: contentRect.width, height: contentRect.height });
});

/** Returns the size of an element without having the page laid out again for it. */
export function sizeOf(element) {
  let size = sizes.get(element);
  if (!size) {
    const { width, height } = element.getBoundingClientRect();
    size = { width, height };
    sizes.set(element, size);
    observer.observe(element);
  }
  return size;
}

/** Fits a canvas to its box in device pixels; returns its context and size in CSS pixels. */
export function fit(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  const w = Math.round(width * ratio);
  const h = Math.round(height * ratio);
  if (canvas.width !== w || canvas.height !== h) {
    canvas.width = w;
    canvas.height = h;
  }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}
