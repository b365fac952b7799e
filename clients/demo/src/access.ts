/** Who the player is: from the link that `make run` prints, or from a form. */

export interface Access {
  readonly playerId: string;
  readonly token: string;
}

const KEY = "craftnet-demo";
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** The player of a token, whose `sub` it is. */
function playerOf(token: string): string | null {
  try {
    const { sub } = JSON.parse(atob(token.split(".")[1]!.replace(/-/g, "+").replace(/_/g, "/")));
    return UUID.test(sub) ? sub : null;
  } catch {
    return null;
  }
}

/** A token, or a whole link with one in its fragment. */
export function accessFrom(given: string): Access | null {
  const token = new URLSearchParams(given.slice(given.indexOf("#") + 1)).get("token") ?? given.trim();
  const playerId = playerOf(token);
  return playerId === null ? null : { playerId, token };
}

/**
 * The access in the address, which is dropped from the address bar at once, or that of before a reload. A token in a link
 * is for development: other hosts than this machine's must not see one.
 */
export function foundAccess(): Access | null {
  const given = location.hash;
  if (given) history.replaceState(null, "", location.pathname + location.search);
  const local = /^(localhost|127(\.\d+){3}|\[::1\])$/.test(location.hostname);
  const found = given && local ? accessFrom(given) : null;
  return keep(found) ?? accessFrom(sessionStorage.getItem(KEY) ?? "");
}

/** Keeps it until the tab is closed. */
export function keep(access: Access | null): Access | null {
  if (access) sessionStorage.setItem(KEY, access.token);
  return access;
}

export function forget(): void {
  sessionStorage.removeItem(KEY);
}
