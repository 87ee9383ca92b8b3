// Looking closely: a wheel, two fingers or keys zoom, a drag moves, and a finger's swipe goes to the next result.

const MOST = 12;
const STEP = 1.5;
const DOUBLE = 2.5;
const NEAR_DIVIDER = { mouse: 14, touch: 30, pen: 24 };
const SWIPE_PIXELS = 60;
const DOUBLE_MILLISECONDS = 320;
const STILL_PIXELS = 10;

/**
 * Watches the stage. `on.split` is told a share of its width in percent, `on.swipe` "next" or "previous", and `on.zoomed`
 * is called when somebody looks closer than the whole. Returns what resets it, and what a key does.
 */
export function watchStage(stage, on) {
  let view = { zoom: 1, x: 0, y: 0 };
  const fingers = new Map();
  let mode = null; // what a drag does: "split", "move", "swipe" or "pinch"
  let begin = null;
  let tapped = { at: 0, x: 0, y: 0 };

  const box = () => stage.getBoundingClientRect();
  const divided = () => !stage.classList.contains("single") && !stage.classList.contains("lost");
  const splitAt = (x) => on.split(Math.round(Math.min(100, Math.max(0, ((x - box().left) / box().width) * 100))));

  function set(zoom, x, y) {
    const { width, height } = box();
    const within = (value, room) => Math.min(0, Math.max(room * (1 - zoom), value));
    view = { zoom, x: within(x, width), y: within(y, height) };
    stage.style.setProperty("--zoom", zoom);
    stage.style.setProperty("--x", `${view.x}px`);
    stage.style.setProperty("--y", `${view.y}px`);
    stage.classList.toggle("zoomed", zoom > 1);
    stage.dataset.zoom = `${Math.round(zoom * 100)} %`;
    if (zoom > 1.2) on.zoomed();
  }

  /** Zooms so that the point under the pointer stays there. */
  function zoomTo(wanted, clientX, clientY) {
    const zoom = Math.min(MOST, Math.max(1, wanted));
    const [x, y] = [clientX - box().left, clientY - box().top];
    set(zoom, x - ((x - view.x) * zoom) / view.zoom, y - ((y - view.y) * zoom) / view.zoom);
  }

  const middle = () => [box().left + box().width / 2, box().top + box().height / 2];

  function modeOf(event) {
    const divider = box().left + (box().width * Number(stage.style.getPropertyValue("--split") || 50)) / 100;
    const isNear = Math.abs(event.clientX - divider) < NEAR_DIVIDER[event.pointerType];
    if (divided() && (isNear || (event.pointerType === "mouse" && view.zoom === 1))) return "split";
    return view.zoom > 1 ? "move" : event.pointerType === "mouse" ? null : "swipe";
  }

  stage.addEventListener("pointerdown", (event) => {
    if (event.button || event.target.closest("button, a")) return;
    fingers.set(event.pointerId, event);
    stage.setPointerCapture(event.pointerId);
    if (fingers.size === 2) {
      mode = "pinch";
      begin = { ...apart(), view };
      stage.style.setProperty("--swipe", "0px");
    } else if (fingers.size === 1) {
      mode = modeOf(event);
      begin = { x: event.clientX, y: event.clientY, view };
      if (mode === "split") splitAt(event.clientX);
      stage.classList.add("dragged");
    }
  });

  const apart = () => {
    const [one, other] = [...fingers.values()];
    return {
      distance: Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY) || 1,
      x: (one.clientX + other.clientX) / 2, y: (one.clientY + other.clientY) / 2,
    };
  };

  stage.addEventListener("pointermove", (event) => {
    if (!fingers.has(event.pointerId)) return;
    fingers.set(event.pointerId, event);
    const [dx, dy] = [event.clientX - begin.x, event.clientY - begin.y];
    if (mode === "pinch" && fingers.size === 2) {
      const now = apart();
      const zoom = Math.min(MOST, Math.max(1, (begin.view.zoom * now.distance) / begin.distance));
      const follow = (axis, edge) => now[axis] - edge - ((begin[axis] - edge - begin.view[axis]) * zoom) / begin.view.zoom;
      set(zoom, follow("x", box().left), follow("y", box().top)); // what was between the fingers still is
    } else if (mode === "split") splitAt(event.clientX);
    else if (mode === "move") set(view.zoom, begin.view.x + dx, begin.view.y + dy);
    else if (mode === "swipe" && Math.abs(dx) > Math.abs(dy)) stage.style.setProperty("--swipe", `${dx}px`);
  });

  function end(event) {
    if (!fingers.delete(event.pointerId)) return;
    const [dx, dy] = [event.clientX - begin.x, event.clientY - begin.y];
    stage.style.setProperty("--swipe", "0px");
    stage.classList.remove("dragged");
    if (event.type === "pointerup" && mode !== "pinch" && mode !== "split") {
      if (mode === "swipe" && Math.abs(dx) > SWIPE_PIXELS && Math.abs(dx) > 1.5 * Math.abs(dy)) on.swipe(dx < 0 ? "next" : "previous");
      else if (Math.hypot(dx, dy) < STILL_PIXELS) tap(event);
    }
    if (fingers.size === 1) {
      const [rest] = fingers.values();
      [mode, begin] = [view.zoom > 1 ? "move" : null, { x: rest.clientX, y: rest.clientY, view }];
    } else if (!fingers.size) mode = null;
  }
  for (const name of ["pointerup", "pointercancel"]) stage.addEventListener(name, end);

  /** Two taps look closely at where they are, and two more at the whole again. */
  function tap(event) {
    const isSecond = event.timeStamp - tapped.at < DOUBLE_MILLISECONDS && Math.hypot(event.clientX - tapped.x, event.clientY - tapped.y) < 4 * STILL_PIXELS;
    tapped = { at: isSecond ? 0 : event.timeStamp, x: event.clientX, y: event.clientY };
    if (isSecond && event.pointerType !== "mouse") zoomTo(view.zoom > 1 ? 1 : DOUBLE, event.clientX, event.clientY);
  }
  stage.addEventListener("dblclick", (event) => zoomTo(view.zoom > 1 ? 1 : DOUBLE, event.clientX, event.clientY));

  stage.addEventListener("wheel", (event) => {
    event.preventDefault();
    const speed = event.ctrlKey ? 0.01 : event.deltaMode ? 0.05 : 0.0016; // a pinch on a touchpad comes with ctrlKey
    zoomTo(view.zoom * Math.exp(-event.deltaY * speed), event.clientX, event.clientY);
  }, { passive: false });

  /** What a key does, if anything. */
  function press(event) {
    const away = { ArrowLeft: [80, 0], ArrowRight: [-80, 0], ArrowUp: [0, 80], ArrowDown: [0, -80] }[event.key];
    if (event.key === "+" || event.key === "=") zoomTo(view.zoom * STEP, ...middle());
    else if (event.key === "-") zoomTo(view.zoom / STEP, ...middle());
    else if (event.key === "0") set(1, 0, 0);
    else if (event.shiftKey && away) set(view.zoom, view.x + away[0], view.y + away[1]);
    else return false;
    return true;
  }

  return { press, reset: () => set(1, 0, 0) };
}
