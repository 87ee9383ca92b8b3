// Two films in step: the dream leads, and the film that it was follows it.

const FAR_SECONDS = 0.25; // so far away the follower jumps
const NEAR_SECONDS = 0.015; // so near it is in step
const HASTE = 2; // by how much faster or slower it runs, a second of distance
const MOST_HASTE = 0.2;
const HAS_FRAME = 2; // readyState: what is shown now is there

/** `on.moved()` is told a new place, `on.turned()` that they play or rest, `on.failed(video)` that one cannot be played. */
export class Pair {
  #leader;
  #follower;
  #on;
  #rate = 25;
  #isPlaying = false;
  #aim = null; // where to go once they are where they were sent

  constructor(leader, follower, on) {
    [this.#leader, this.#follower, this.#on] = [leader, follower, on];
    for (const [video, other] of [[leader, follower], [follower, leader]]) {
      video.addEventListener("loadedmetadata", () => this.#arrive());
      video.addEventListener("loadeddata", () => video.classList.add("here"));
      video.addEventListener("waiting", () => this.#isPlaying && has(other) && other.pause());
      video.addEventListener("canplay", () => this.#goOn());
      video.addEventListener("seeked", () => this.#arrive());
      video.addEventListener("error", () => has(video) && on.failed(video));
    }
    leader.addEventListener("ended", () => this.pause());
  }

  /** Loads both; `before` is null where there is nothing to follow. `rate` is in frames a second. */
  load(after, before, { rate, loops }) {
    this.clear();
    this.#rate = rate;
    for (const [video, source] of [[this.#leader, after], [this.#follower, before]]) {
      if (source === null) continue;
      video.loop = loops;
      video.hidden = false;
      video.src = source;
    }
  }

  clear() {
    this.#isPlaying = false;
    this.#aim = null;
    this.drop(this.#leader);
    this.drop(this.#follower);
  }

  /** Goes on without one of them. */
  drop(video) {
    if (!has(video)) return;
    video.pause();
    video.removeAttribute("src");
    video.load();
    video.hidden = true;
    video.classList.remove("here");
    this.#arrive();
  }

  get isPlaying() {
    return this.#isPlaying;
  }

  /** Seconds from the beginning. */
  get time() {
    return this.#aim ?? this.#leader.currentTime;
  }

  /** How long it lasts in seconds; NaN until that is known. */
  get duration() {
    return Number.isFinite(this.#leader.duration) ? this.#leader.duration : NaN;
  }

  async play() {
    if (this.#isPlaying || !has(this.#leader)) return;
    if (this.#leader.ended) this.seek(0);
    this.#isPlaying = true;
    this.#on.turned();
    this.#keepInStep();
    try {
      await Promise.all(this.#both().map((video) => video.play()));
    } catch (error) {
      if (error.name === "NotAllowedError") this.pause(); // a browser that lets nothing begin by itself
    }
  }

  pause() {
    if (!this.#isPlaying) return;
    this.#isPlaying = false;
    for (const video of this.#both()) video.pause();
    this.seek(this.middleOf(this.frame)); // the same frame of both
    this.#on.turned();
  }

  /** The number of the frame that is shown, from 0. */
  get frame() {
    return Math.floor(this.time * this.#rate + 0.01);
  }

  /** The time of a frame's middle: no rounding makes another frame of it. */
  middleOf(frame) {
    return (frame + 0.5) / this.#rate;
  }

  seek(seconds) {
    this.#aim = seconds;
    this.#arrive();
  }

  #both() {
    return [this.#leader, this.#follower].filter(has);
  }

  /** Sends both to where somebody wants to be by now, when they are where they were sent before. */
  #arrive() {
    const both = this.#both();
    if (both.some((video) => video.seeking)) return;
    if (this.#aim !== null && both.every((video) => video.readyState > 0)) {
      for (const video of both) video.currentTime = this.#aim;
      this.#aim = null;
    }
    this.#goOn();
    this.#on.moved();
  }

  /** Plays both once neither has to wait. */
  #goOn() {
    const both = this.#both();
    if (!this.#isPlaying || !both.every((video) => video.readyState > HAS_FRAME)) return;
    for (const video of both) if (video.paused) video.play().catch(() => {}); // what is paused meanwhile says so
  }

  /** Looks at each picture of the screen whether the follower has to hurry. */
  #keepInStep() {
    const look = () => {
      if (!this.#isPlaying) return;
      this.#follow();
      this.#on.moved();
      requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
  }

  #follow() {
    const [leader, follower] = [this.#leader, this.#follower];
    if (!has(follower) || follower.seeking || leader.seeking || follower.readyState < HAS_FRAME) return;
    const ahead = this.#apart();
    if (Math.abs(ahead) > FAR_SECONDS) follower.currentTime = leader.currentTime;
    const haste = Math.abs(ahead) < NEAR_SECONDS ? 0 : Math.max(-MOST_HASTE, Math.min(MOST_HASTE, -HASTE * ahead));
    follower.playbackRate = leader.playbackRate + haste;
  }

  /** By how many seconds the follower is ahead; of a film that goes round, the shorter way. */
  #apart() {
    const apart = this.#follower.currentTime - this.#leader.currentTime;
    const whole = this.duration;
    if (!this.#leader.loop || !whole) return apart;
    return apart - whole * Math.round(apart / whole);
  }
}

const has = (video) => video.hasAttribute("src");
