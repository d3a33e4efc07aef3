// Stands between the pages and the network. VERSION and FILES are written above this line by the server.
// It keeps the files of the look and one page that is the same for everybody; never a page of a person.
"use strict";

const CACHE = `xuka-${VERSION}`;
const OFFLINE = "/offline/";

self.addEventListener("install", (event) => event.waitUntil(install()));
self.addEventListener("activate", (event) => event.waitUntil(activate()));

async function install() {
  const cache = await caches.open(CACHE);
  await cache.addAll(FILES);
  await keepOffline(cache);
  await self.skipWaiting();
}

async function activate() {
  const old = (await caches.keys()).filter((name) => name.startsWith("xuka-") && name !== CACHE);
  await Promise.all(old.map((name) => caches.delete(name)));
  await self.clients.claim();
}

async function keepOffline(cache) {
  const answer = await fetch(OFFLINE, { credentials: "same-origin", cache: "no-store" });
  if (answer.ok && !answer.redirected) await cache.put(OFFLINE, answer);
}

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== "GET" || url.origin !== self.location.origin) return;
  if (request.mode === "navigate") event.respondWith(fetch(request).catch(offline));
  else if (FILES.includes(url.pathname + url.search)) event.respondWith(kept(request));
});

async function offline() {
  return (await (await caches.open(CACHE)).match(OFFLINE)) || Response.error();
}

async function kept(request) {
  return (await (await caches.open(CACHE)).match(request)) || fetch(request);
}

// Every page tells its language; the page without a network then speaks it too.
self.addEventListener("message", (event) => event.waitUntil(speak(event.data.language)));

async function speak(language) {
  const cache = await caches.open(CACHE);
  const known = await cache.match(OFFLINE);
  const spoken = known && known.headers.get("Content-Language");
  if (language && spoken !== language.toLowerCase()) await keepOffline(cache).catch(() => {});
}

// A reminder that comes while no page is open. A second copy has the same tag and takes the first one's place.
self.addEventListener("push", (event) => event.waitUntil(show(event)));

async function show(event) {
  let told = {};
  try {
    told = event.data.json();
  } catch {
    // A push without words still must show something.
  }
  await self.registration.showNotification(told.title || "Xuka", {
    body: told.body || "",
    tag: told.tag || undefined,
    icon: FILES.find((name) => name.includes("icon.svg")),
    data: { url: told.url || "/" },
  });
}

self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  const url = new URL(event.notification.data.url, self.location.origin);
  // Only our own pages are opened, whatever a push says.
  event.waitUntil(self.clients.openWindow(url.origin === self.location.origin ? url.href : "/"));
});
