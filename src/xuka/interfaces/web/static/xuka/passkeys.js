// Passkeys: the page's challenge goes to the device, its answer into the form. Without this script, or where the
// browser cannot do it (it cannot on a bare IP address), the buttons stay hidden and the code by e-mail is the way.
"use strict";

const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
const text = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
const keys = (list) => (list || []).map((key) => ({ ...key, id: bytes(key.id) }));

async function made(options) {
  const asked = { ...options, challenge: bytes(options.challenge), excludeCredentials: keys(options.excludeCredentials) };
  asked.user = { ...options.user, id: bytes(options.user.id) };
  return navigator.credentials.create({ publicKey: asked });
}

async function shown(options) {
  const asked = { ...options, challenge: bytes(options.challenge), allowCredentials: keys(options.allowCredentials) };
  return navigator.credentials.get({ publicKey: asked });
}

// The credential as the server reads it: every buffer in base64url.
function told(credential) {
  const response = {};
  for (const name of ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"]) {
    if (credential.response[name]) response[name] = text(credential.response[name]);
  }
  return JSON.stringify({
    id: credential.id,
    rawId: text(credential.rawId),
    type: credential.type,
    response,
    clientExtensionResults: credential.getClientExtensionResults(),
  });
}

// The sign-in page asks for its challenge only when the button is used; the others carry it.
async function data(form) {
  const there = document.getElementById("passkey-options");
  if (there) return JSON.parse(there.textContent);
  const answer = await fetch(form.action, { headers: { Accept: "application/json" } });
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  return answer.json();
}

async function ask(form) {
  const options = await data(form);
  const add = form.dataset.passkey === "add";
  form.elements.credential.value = told(
    add ? await made(options.creation_options.publicKey) : await shown(options.request_options.publicKey),
  );
  form.submit();
}

if (window.PublicKeyCredential && !/^[\d.]+$|:/.test(location.hostname)) {
  for (const form of document.querySelectorAll("form[data-passkey]")) {
    form.hidden = false;
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      event.stopPropagation(); // the device may be asked again after it refused
      const wrong = form.querySelector("[role=alert]");
      wrong.hidden = true;
      try {
        await ask(form);
      } catch {
        wrong.hidden = false;
      }
    });
  }
  for (const note of document.querySelectorAll("[data-no-passkey]")) note.hidden = true;
}
