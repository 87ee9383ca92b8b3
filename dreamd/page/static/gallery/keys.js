// The gallery by keyboard: arrows go from picture to picture, with Shift they select, and letters do what the buttons do.

/** Listens to keys on the tiles. `does` has a function for each deed: toggle, extend, star, remove, selectAll, clear. */
export function watchKeys(gallery, resultOf, does) {
  gallery.addEventListener("keydown", (event) => {
    const tile = event.target.closest(".tile");
    if (!tile || event.altKey) return;
    if (event.ctrlKey || event.metaKey) {
      if (event.key.toLowerCase() !== "a") return;
      event.preventDefault();
      does.selectAll();
      return;
    }
    const isDone = event.key.startsWith("Arrow") ? go(gallery, tile, event, resultOf, does) : press(event, tile, resultOf(tile), does);
    if (isDone) event.preventDefault();
  });
}

function press(event, tile, result, does) {
  if (event.key === "Escape") does.clear();
  else if (event.target.matches("button")) return false;
  else if (event.key === " " || event.key === "x") does.toggle(result);
  else if (event.key === "f") does.star(result);
  else if (event.key === "Delete") does.remove(result);
  else return false;
  return true;
}

function go(gallery, tile, event, resultOf, does) {
  const tiles = [...gallery.querySelectorAll(".tile")];
  const next = { ArrowLeft: tiles[tiles.indexOf(tile) - 1], ArrowRight: tiles[tiles.indexOf(tile) + 1] }[event.key]
    ?? (event.key === "ArrowUp" || event.key === "ArrowDown" ? beyond(tiles, tile, event.key === "ArrowDown") : null);
  if (!next) return false;
  if (event.shiftKey && !tile.classList.contains("selected")) does.toggle(resultOf(tile));
  next.querySelector("a").focus();
  if (event.shiftKey) does.extend(resultOf(next));
  return true;
}

/** The tile of the next row above or below that is nearest to the middle of one. */
function beyond(tiles, tile, isDown) {
  const box = tile.getBoundingClientRect();
  const middle = box.left + box.width / 2;
  const boxes = tiles.map((each) => [each, each.getBoundingClientRect()])
    .filter(([, other]) => (isDown ? other.top >= box.bottom - 1 : other.bottom <= box.top + 1));
  if (!boxes.length) return null;
  const edge = isDown ? Math.min(...boxes.map(([, each]) => each.top)) : Math.max(...boxes.map(([, each]) => each.top));
  const row = boxes.filter(([, each]) => Math.abs(each.top - edge) < 2);
  const distance = ([, each]) => Math.abs(each.left + each.width / 2 - middle);
  return row.reduce((best, each) => (distance(each) < distance(best) ? each : best))[0];
}
