// Waiting until a person has finished, and what counts of answers that overtake each other.

/**
 * A function that does something once it was not called for a while, in milliseconds; its `stop` forgets a call, its
 * `finish` does at once what waits.
 */
export function whenQuiet(act, milliseconds = 250) {
  let timer = 0;
  let waiting = null; // what it was called with
  const later = (...given) => {
    clearTimeout(timer);
    waiting = given;
    timer = setTimeout(later.finish, milliseconds);
  };
  later.stop = () => {
    clearTimeout(timer);
    waiting = null;
  };
  later.finish = () => {
    const given = waiting;
    later.stop();
    if (given !== null) act(...given);
  };
  return later;
}

/** A function that asks as `ask` does. An answer is null once something was asked after it: it may be older than that. */
export function lastOnly(ask) {
  let turn = 0;
  return async (...given) => {
    const mine = ++turn;
    const found = await ask(...given);
    return mine === turn ? found : null;
  };
}
