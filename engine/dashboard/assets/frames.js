// Drawing once per animation frame: a part that changed is asked for, and drawn with the others of that frame.

const BUDGET_MS = 8; // Half of a frame at 60 per second; what does not fit is drawn in the next one.

const waiting = new Set();
const afterwards = [];
let isAsked = false;

/** Has a part (a function) drawn in the next frame, once however often it is asked for. */
export function redraw(part) {
  waiting.add(part);
  ask();
}

/** Calls a function after the next frame was drawn; at once where no frames are drawn, in a hidden tab. */
export function afterFrame(call) {
  if (document.hidden) {
    call();
    return;
  }
  afterwards.push(call);
  ask();
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) for (const call of afterwards.splice(0)) call();
});

function ask() {
  if (isAsked) return;
  isAsked = true;
  requestAnimationFrame(draw);
}

function draw() {
  isAsked = false;
  const until = performance.now() + BUDGET_MS;
  for (const part of waiting) {
    waiting.delete(part);
    try {
      part();
    } catch (error) {
      console.error(error);
    }
    if (performance.now() > until) break;
  }
  if (waiting.size) {
    ask();
  } else {
    for (const call of afterwards.splice(0)) call();
  }
}
