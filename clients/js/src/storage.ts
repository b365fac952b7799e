/** Keeps values beyond a reload, where there is a storage that can be used. */

export type StorageLike = Pick<Storage, "getItem" | "setItem" | "removeItem">;

/** A storage, or what returns one: `() => sessionStorage` throws where a browser forbids it. */
export type StorageOption = StorageLike | (() => StorageLike);

/** What `act` returns; undefined without a storage, and for one that throws. */
export function withStorage<T>(storage: StorageOption | undefined, act: (storage: StorageLike) => T): T | undefined {
  try {
    return storage && act(typeof storage === "function" ? storage() : storage);
  } catch {
    return undefined;
  }
}
