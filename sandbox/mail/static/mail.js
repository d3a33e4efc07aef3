// New letters appear by themselves: ask every two seconds how many there are.
"use strict";
const shown = Number(document.querySelector(".letters").dataset.count);
const asked = new URLSearchParams(location.search).get("to") ?? "";
setInterval(async () => {
  try {
    const answer = await fetch("/messages.json?to=" + encodeURIComponent(asked));
    if ((await answer.json()).count !== shown) location.reload();
  } catch {
    // The sandbox is away for a moment.
  }
}, 2000);
