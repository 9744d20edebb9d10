// The connection: begins with what it already has, says when it has drawn, and comes back by itself.

const FIRST_WAIT_MS = 400;
const LONGEST_WAIT_MS = 5_000;
const SILENCE = 2.5; // Heartbeats that may stay out before the connection counts as lost.

/** One connection at a time to the stream; `onFrame(frame, done)` takes in, `onState(state)` hears how it stands. */
export class Stream {
  constructor(url, { onFrame, onState }) {
    this.url = url;
    this.onFrame = onFrame;
    this.onState = onState;
    this.chart = null;
    this.stream = "";
    this.sequence = 0;
    this.wait = FIRST_WAIT_MS;
    this.heartbeatMs = 15_000;
    window.addEventListener("online", () => this.connect());
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden && !this.isOpen()) this.connect();
    });
    this.connect();
  }

  isOpen() {
    return this.socket?.readyState === WebSocket.OPEN;
  }

  /** Looks at another chart. */
  look(symbol, timeframe) {
    this.chart = { symbol, timeframe };
    if (this.isOpen()) this.say({ type: "chart", ...this.chart });
  }

  say(message) {
    if (this.isOpen()) this.socket.send(JSON.stringify(message));
  }

  connect() {
    clearTimeout(this.retry);
    if (this.socket && this.socket.readyState <= WebSocket.OPEN) return;
    this.onState("connecting");
    const socket = new WebSocket(this.url);
    this.socket = socket;
    socket.onopen = () => this.begin();
    socket.onmessage = (event) => this.hear(JSON.parse(event.data));
    socket.onclose = (event) => {
      if (socket === this.socket) this.lost(event.reason);
    };
    this.watch();
  }

  begin() {
    const resume = this.stream ? { stream: this.stream, after: this.sequence } : null;
    this.say({ type: "start", resume, chart: this.chart });
  }

  hear(frame) {
    this.watch();
    switch (frame.type) {
      case "welcome":
        this.stream = frame.stream;
        this.heartbeatMs = frame.heartbeat_s * 1000;
        this.wait = FIRST_WAIT_MS;
        break;
      case "snapshot":
      case "changes":
        this.sequence = frame.sequence;
        this.onState("live");
        this.onFrame(frame, () => this.say({ type: "ack", sequence: frame.sequence }));
        break;
      case "heartbeat":
        this.onState("live");
        break;
      case "error":
        console.warn(frame.code, frame.detail);
    }
  }

  watch() {
    clearTimeout(this.watching);
    const socket = this.socket;
    this.watching = setTimeout(() => {
      if (socket !== this.socket) return;
      this.lost("silent");
      socket.close();
    }, SILENCE * this.heartbeatMs);
  }

  lost(reason) {
    clearTimeout(this.watching);
    this.socket = null;
    this.onState("lost", reason);
    this.retry = setTimeout(() => this.connect(), this.wait * (0.75 + Math.random() / 2));
    this.wait = Math.min(2 * this.wait, LONGEST_WAIT_MS);
  }
}
