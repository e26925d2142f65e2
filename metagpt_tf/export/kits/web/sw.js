// Keeps every file of the page, so that it opens without a network; with one, the newer file wins.
"use strict";

const CACHE = "metagpt_tf";

self.addEventListener("install", (event) => {
  const keep = async () => {
    const cache = await caches.open(CACHE);
    const wanted = ["./", ...(await (await fetch("files.json")).json())];
    await cache.addAll(wanted);
    const places = new Set(wanted.map((name) => new URL(name, self.registration.scope).href));
    for (const { url } of await cache.keys()) if (!places.has(url)) await cache.delete(url); // of an older page
  };
  event.waitUntil(keep());
});

self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

// A browser that has no room left still shows the page, only not without a network.
async function kept(request, answer) {
  try {
    await (await caches.open(CACHE)).put(request, answer);
  } catch (error) {
    console.warn(`${request.url} is not kept: ${error.message}`);
  }
}

self.addEventListener("fetch", (event) => {
  if (event.request.method !== "GET") return;
  const answer = async () => {
    try {
      const found = await fetch(event.request);
      if (found.status === 200) event.waitUntil(kept(event.request, found.clone()));
      return found;
    } catch (error) {
      const known = await (await caches.open(CACHE)).match(event.request, { ignoreSearch: true });
      if (known) return known;
      throw error;
    }
  };
  event.respondWith(answer());
});
