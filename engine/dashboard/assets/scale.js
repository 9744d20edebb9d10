// Axes: round steps, and what to write at them.

const TIME_STEPS = [60, 300, 900, 1800, 3600, 7200, 14_400, 21_600, 43_200, 86_400, 172_800, 604_800, 1_209_600, 2_592_000];

/** Returns round values between two numbers, about `count` of them. */
export function ticks(low, high, count) {
  const span = high - low;
  if (!(span > 0) || count < 1) return [];
  const rough = span / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 2.5, 5, 10].find((each) => each * power >= rough);
  const found = [];
  for (let value = Math.ceil(low / step) * step; value <= high + step * 1e-9; value += step) found.push(value);
  return found;
}

/** Returns the shortest round step of time, in seconds, of at least so many. */
export const timeStep = (seconds) => TIME_STEPS.find((each) => each >= seconds) ?? TIME_STEPS.at(-1);
