/** Keeps the page's files, so that the installed app opens without a network. It never touches what the feeds fetch. */

declare const self: ServiceWorkerGlobalScope;

const CACHE = "pages";

self.addEventListener("install", () => void self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const path = new URL(request.url).pathname;
  const scope = new URL(self.registration.scope).pathname;
  if (request.method !== "GET" || !path.startsWith(scope) || path.startsWith(`${scope}players/`)) return;
  event.respondWith(path.startsWith(`${scope}assets/`) ? heldFirst(request) : newestFirst(request));
});

/** Files with a hash in their names never change. */
async function heldFirst(request: Request): Promise<Response> {
  const cache = await caches.open(CACHE);
  return (await cache.match(request)) ?? fetched(cache, request);
}

async function newestFirst(request: Request): Promise<Response> {
  const cache = await caches.open(CACHE);
  return fetched(cache, request).catch(async () => (await cache.match(request)) ?? Response.error());
}

async function fetched(cache: Cache, request: Request): Promise<Response> {
  const response = await fetch(request);
  if (response.ok) await cache.put(request, response.clone());
  return response;
}

self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  event.waitUntil(
    self.clients
      .matchAll({ type: "window" })
      .then(([page]) => (page ? page.focus() : self.clients.openWindow(self.registration.scope))),
  );
});

export {};
