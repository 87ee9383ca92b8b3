// One zoom and one place for all pictures: what is seen in one is seen in all of them.

const MOST = 16;
const STEP = 1.5;
const ARROW = 0.1; // of a picture's side, at one key

/** Follows wheel, pinch, drag and keys over the frames of a box; `onChange` is told the zoom. */
export class Zoom {
  constructor(box, onChange) {
    this.box = box;
    this.onChange = onChange;
    this.pointers = new Map();
    this.fit();
    box.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    box.addEventListener("pointerdown", (event) => this.down(event));
    box.addEventListener("pointermove", (event) => this.move(event));
    for (const name of ["pointerup", "pointercancel"]) box.addEventListener(name, (event) => this.up(event));
    box.addEventListener("dblclick", (event) => this.twice(event));
    box.addEventListener("keydown", (event) => this.key(event));
  }

  fit() {
    this.show(1, 0, 0);
  }

  /** Zooms around a place, which is in shares of a frame's sides from its middle. */
  by(factor, x = 0, y = 0) {
    const scale = Math.min(MOST, Math.max(1, this.scale * factor));
    const ratio = scale / this.scale;
    this.show(scale, x - (x - this.x) * ratio, y - (y - this.y) * ratio);
  }

  in() {
    this.by(STEP);
  }

  out() {
    this.by(1 / STEP);
  }

  show(scale, x, y) {
    const most = (scale - 1) / 2;
    this.scale = scale;
    this.x = Math.min(most, Math.max(-most, x));
    this.y = Math.min(most, Math.max(-most, y));
    this.box.style.setProperty("--zoom", this.scale);
    this.box.style.setProperty("--x", `${this.x * 100}%`);
    this.box.style.setProperty("--y", `${this.y * 100}%`);
    this.box.classList.toggle("zoomed", this.scale > 1);
    this.onChange(this.scale);
  }

  frame(event) {
    return event.target.closest?.(".frame");
  }

  at(frame, { clientX, clientY }) {
    const { left, top, width, height } = frame.getBoundingClientRect();
    return [(clientX - left) / width - 0.5, (clientY - top) / height - 0.5];
  }

  /** The wheel scrolls the page, as everywhere, until a picture is zoomed or clicked, or all of the page is seen. */
  wheel(event) {
    const frame = this.frame(event);
    const isMeant = event.ctrlKey || event.metaKey || this.scale > 1 || this.box.contains(document.activeElement)
      || document.documentElement.scrollHeight <= window.innerHeight;
    if (!frame || !isMeant) return;
    event.preventDefault();
    const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 24 : 1;
    this.by(Math.exp(-event.deltaY * lines * (event.ctrlKey ? 0.01 : 0.002)), ...this.at(frame, event));
  }

  down(event) {
    const frame = this.frame(event);
    if (!frame || event.button) return;
    this.pointers.set(event.pointerId, { clientX: event.clientX, clientY: event.clientY, frame });
    if (this.scale > 1 || this.pointers.size > 1) frame.setPointerCapture(event.pointerId);
  }

  move(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    const { width, height } = before.frame.getBoundingClientRect();
    const others = [...this.pointers.entries()].filter(([id]) => id !== event.pointerId).map(([, place]) => place);
    if (others.length) this.pinch(before, event, others[0]);
    else if (this.scale > 1) this.show(this.scale, this.x + (event.clientX - before.clientX) / width, this.y + (event.clientY - before.clientY) / height);
    this.pointers.set(event.pointerId, { ...before, clientX: event.clientX, clientY: event.clientY });
  }

  pinch(before, now, other) {
    const far = (place) => Math.hypot(place.clientX - other.clientX, place.clientY - other.clientY);
    const middle = { clientX: (now.clientX + other.clientX) / 2, clientY: (now.clientY + other.clientY) / 2 };
    if (far(before) > 0) this.by(far(now) / far(before), ...this.at(before.frame, middle));
  }

  up(event) {
    this.pointers.delete(event.pointerId);
  }

  twice(event) {
    const frame = this.frame(event);
    if (!frame) return;
    if (this.scale > 1) this.fit();
    else this.by(3, ...this.at(frame, event));
  }

  key(event) {
    if (!this.frame(event) || event.ctrlKey || event.metaKey || event.altKey) return;
    const moves = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    const act = {
      "+": () => this.in(), "=": () => this.in(), "-": () => this.out(), 0: () => this.fit(), Escape: () => this.fit(),
    }[event.key];
    if (act) act();
    else if (moves[event.key] && this.scale > 1) {
      const [x, y] = moves[event.key];
      this.show(this.scale, this.x + x * ARROW, this.y + y * ARROW);
    } else return;
    event.preventDefault();
  }
}
