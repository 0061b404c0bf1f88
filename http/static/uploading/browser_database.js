// What the browser keeps for us (IndexedDB), and the locks by which tabs leave each other's things alone.

const LEFT_MS = 2_000;

// `stores` are those of a new database: their names, with the options of each.
export function openDatabase(name, stores) {
  return new Promise((resolve, reject) => {
    const opening = indexedDB.open(name, 1);
    opening.onupgradeneeded = () => {
      for (const [store, options] of Object.entries(stores)) opening.result.createObjectStore(store, options);
    };
    opening.onsuccess = () => resolve(opening.result);
    opening.onerror = () => reject(opening.error);
    opening.onblocked = () => reject(new DOMException("blocked", "InvalidStateError"));
  });
}

// Write in these stores with `act(transaction)`. Errors: there is no room, or the browser cannot keep such a thing.
export async function write(database, stores, act) {
  const transaction = database.transaction(stores, "readwrite");
  act(transaction);
  await new Promise((resolve, reject) => {
    transaction.oncomplete = resolve;
    transaction.onabort = transaction.onerror = () => reject(transaction.error);
  });
}

// All that is in this store, by its keys.
export function readAll(database, store) {
  return result(database.transaction(store).objectStore(store).getAll());
}

// How many there are in this store.
export function count(database, store) {
  return result(database.transaction(store).objectStore(store).count());
}

// What is in this store by this key; undefined when there is nothing.
export function read(database, store, key) {
  return result(database.transaction(store).objectStore(store).get(key));
}

// Hold the lock of this name until `release` is called, which waits until it is free. `release`, or null when another tab
// has it. The lock goes with its page.
export function lock(name) {
  return hold(name, { ifAvailable: true });
}

// The same, for what was left: for a moment, the page that was just left may still have its locks.
export function lockLeft(name) {
  return hold(name, { signal: AbortSignal.timeout(LEFT_MS) });
}

// Say that there is something, for pages that would rather not open the database; or that there is nothing any more.
export function mark(name, isThere) {
  if (isThere) localStorage.setItem(name, "1");
  else localStorage.removeItem(name);
}

function result(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

function hold(name, patience) {
  if (!navigator.locks) return Promise.resolve(() => {});
  return new Promise((resolve, reject) => {
    const held = navigator.locks.request(name, patience, (granted) => {
      if (granted === null) return resolve(null);
      return new Promise((free) => resolve(() => {
        free();
        return held;
      }));
    });
    held.catch((error) => (error.name === "TimeoutError" ? resolve(null) : reject(error)));
  });
}
