// Signing out. The session ends on the sign-in page, which asks for nothing that needs it. The page itself asks for
// pictures and news as long as it is there, and would be refused.

const LEAVES = "dreamd-leaves";

/** Leads to the sign-in page, which ends the session. */
export function signOut() {
  sessionStorage.setItem(LEAVES, "yes");
  location.assign("login");
}

/** Ends the session if a person has come here to sign out. */
export async function leave() {
  if (sessionStorage.getItem(LEAVES) === null) return;
  sessionStorage.removeItem(LEAVES);
  const response = await fetch("logout", { method: "POST" });
  const isOver = response.ok || response.status === 401; // 401: it has ended in another tab
  if (!isOver) throw new Error(`dreamd answered ${response.status}`);
}
