/** What a token says of its own life. Pure. */

interface Life {
  exp?: number;
  iat?: number;
}

function life(token: string): Life {
  try {
    return JSON.parse(atob(token.split(".")[1]!.replace(/-/g, "+").replace(/_/g, "/")));
  } catch {
    return {}; // an opaque token
  }
}

/**
 * When a token ends, and when it should be replaced: at 80 % of its life, or of what is left of it at `now` where it does
 * not say when it began. Unix milliseconds on the server's clock; Infinity for a token that does not say.
 */
export function lifetime(token: string, now: number): { readonly end: number; readonly renewal: number } {
  const { exp = Infinity, iat = now / 1000 } = life(token);
  return { end: exp * 1000, renewal: (iat + 0.8 * (exp - iat)) * 1000 };
}
