// A WebSocket that says how fresh it is, acknowledges what arrived, and comes back by itself.
const ACKNOWLEDGE_EVERY = 4;
const LONGEST_WAIT = 15000;
const QUIET = 5000; // ms without a message after which the server is asked for one
const LOST = 15000; // ms without any after which the connection counts as lost, though nobody closed it
const FINAL = new Set([4401, 4404, 4429]); // The server will not change its mind; docs/live.md has the codes.

export class LiveSocket {
  /**
   * @param {string} path
   * @param {(message: import("./messages").Message) => void} onMessage  gets every message
   * @param {(state: string, words: string) => void} onState  gets "live", "reconnecting" or "stale", and a sentence
   */
  constructor(path, onMessage, onState) {
    this.path = path;
    this.onMessage = onMessage;
    this.onState = onState;
    this.wait = 500;
    /** @type {number | null} */
    this.heardAt = null; // ms
    this.openedAt = 0;
    this.received = 0;
    /** @type {WebSocket | null} */
    this.socket = null;
    /** @type {string | null} */
    this.reason = null;
    this.done = false;
    this.watch = setInterval(() => this.check(), QUIET);
    this.connect();
  }

  check() {
    if (this.socket?.readyState !== WebSocket.OPEN) return;
    const silence = Date.now() - Math.max(this.heardAt ?? 0, this.openedAt);
    if (silence > LOST) {
      // A server that does not answer does not take leave either, so the end is not waited for.
      const lost = this.socket;
      this.socket = null;
      lost.close();
      this.closed(1006);
    } else if (silence > QUIET) this.send({ type: "ping" });
  }

  connect() {
    const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}${this.path}`);
    this.socket = socket;
    this.received = 0;
    this.openedAt = Date.now();
    socket.addEventListener("message", (event) => {
      if (socket !== this.socket) return;
      /** @type {import("./messages").Message} */
      const message = JSON.parse(event.data);
      this.wait = 500;
      this.heardAt = Date.now();
      this.onState("live", "Live");
      if ("sequence" in message && ++this.received % ACKNOWLEDGE_EVERY === 0) {
        this.send({ type: "ack", sequence: message.sequence });
      }
      if (message.type === "error") this.reason = message.message;
      this.onMessage(message);
    });
    socket.addEventListener("close", (event) => {
      if (socket === this.socket) this.closed(event.code);
    });
  }

  send(message) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  close() {
    this.done = true;
    clearInterval(this.watch);
    this.socket?.close(1000);
  }

  closed(code) {
    if (this.done) return;
    if (FINAL.has(code)) {
      clearInterval(this.watch);
      this.onState("stale", this.reason ?? "The server closed the connection");
      return;
    }
    if (this.heardAt && Date.now() - this.heardAt > 10000) {
      const time = new Date(this.heardAt).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
      this.onState("stale", `Stale since ${time}`);
    } else {
      this.onState("reconnecting", "Reconnecting");
    }
    setTimeout(() => this.connect(), this.wait);
    this.wait = Math.min(this.wait * 2, LONGEST_WAIT);
  }
}

export function showState(element) {
  return (state, words) => {
    if (!element || (element.dataset.state === state && element.textContent === words)) return;
    element.dataset.state = state;
    element.textContent = words;
  };
}
