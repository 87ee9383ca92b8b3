// Waiting until a person has finished.

/** A function that does something once it was not called for a while, in milliseconds; its `stop` forgets a call. */
export function whenQuiet(act, milliseconds = 250) {
  let timer = 0;
  const later = (...given) => {
    clearTimeout(timer);
    timer = setTimeout(act, milliseconds, ...given);
  };
  later.stop = () => clearTimeout(timer);
  return later;
}
