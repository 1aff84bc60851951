// Answers come in any order: a slow one must not be shown over what was asked, or said, after it.

/**
 * For what a person chooses: only the newest question counts. Call it as the question is asked (or taken back); what it
 * returns says, when the answer is there, whether it is still wanted.
 * @returns {() => () => boolean}
 */
export function newest() {
  let asked = 0;
  return () => {
    const mine = ++asked;
    return () => mine === asked;
  };
}

/**
 * For what is asked again and again: an answer counts unless a later one was there first, so that a server that takes
 * longer than the pause between two questions is heard all the same.
 * @returns {() => () => boolean}
 */
export function inOrder() {
  let [asked, shown] = [0, 0];
  return () => {
    const mine = ++asked;
    return () => {
      if (mine < shown) return false;
      shown = mine;
      return true;
    };
  };
}
