// Keeps every file of the page, so that it opens without a network; with one, the newer file wins.
"use strict";

const CACHE = "metagpt_tf";

self.addEventListener("install", (event) => {
  const keep = async () => (await caches.open(CACHE)).addAll(["./", ...(await (await fetch("files.json")).json())]);
  event.waitUntil(keep());
});

self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

self.addEventListener("fetch", (event) => {
  if (event.request.method !== "GET") return;
  const answer = async () => {
    const cache = await caches.open(CACHE);
    try {
      const found = await fetch(event.request);
      if (found.ok) await cache.put(event.request, found.clone());
      return found;
    } catch (error) {
      const kept = await cache.match(event.request, { ignoreSearch: true });
      if (kept) return kept;
      throw error;
    }
  };
  event.respondWith(answer());
});
