// What the server told: values under keys. Parts of the page hear about the keys that begin with theirs.

const values = new Map();
const listeners = new Map();

/** Returns the value under a key, or undefined. */
export const get = (key) => values.get(key);

/** Returns [rest of the key, value] of all keys that begin so. */
export function all(prefix) {
  const found = [];
  for (const [key, value] of values) if (key.startsWith(prefix)) found.push([key.slice(prefix.length), value]);
  return found;
}

/** Calls with the key whenever a key with this beginning (up to its first slash, inclusive) changes. */
export function on(prefix, call) {
  if (!listeners.has(prefix)) listeners.set(prefix, []);
  listeners.get(prefix).push(call);
}

/** Takes a frame in: all there is, or what changed. */
export function take(frame) {
  const changed = new Set(Object.keys(frame.set));
  if (frame.type === "snapshot") {
    for (const key of values.keys()) changed.add(key);
    values.clear();
  }
  for (const [key, value] of Object.entries(frame.set)) {
    if (value === null) values.delete(key);
    else values.set(key, value);
  }
  for (const key of changed) for (const call of listeners.get(beginning(key)) ?? []) call(key);
}

/** Sets one value that did not come by the stream. */
export const put = (key, value) => take({ type: "changes", set: { [key]: value } });

function beginning(key) {
  const slash = key.indexOf("/");
  return slash < 0 ? key : key.slice(0, slash + 1);
}
