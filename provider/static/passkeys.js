// The browser's part of passkeys. Without it, and in browsers that have none, the forms below stay hidden.
// A form says in `data-passkey` whether one is to be had ("get") or made ("create"), in `data-options` what is to be asked
// (Web Authentication Level 3 §5.1.8, §5.1.9), and in `data-say-…` what to tell a person. The answer is posted with it, or
// with the form that `data-goes-with` names, once the fields in `data-needs` are filled in there.
"use strict";

{
  const bytes = (text) =>
    Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (letter) => letter.charCodeAt(0));
  const text = (buffer) =>
    btoa(String.fromCharCode(...new Uint8Array(buffer))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  const BUFFERS = ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"];

  const whole = (form) => document.getElementById(form.dataset.goesWith) ?? form;
  const isFilledIn = (form) =>
    form.reportValidity() &&
    (form.dataset.needs?.split(" ") ?? []).every((name) => whole(form).elements[name].reportValidity());

  const asked = (form) => {
    const options = JSON.parse(form.dataset.options);
    options.challenge = bytes(options.challenge);
    if (options.user) {
      options.user.id = bytes(options.user.id);
      const typed = whole(form).elements.username?.value.trim();
      if (typed) options.user.name = options.user.displayName = typed;
    }
    for (const name of ["allowCredentials", "excludeCredentials"])
      for (const known of options[name] ?? []) known.id = bytes(known.id);
    return options;
  };

  const answered = (made) => {
    const response = {};
    for (const name of BUFFERS) if (made.response[name]) response[name] = text(made.response[name]);
    if (made.response.getTransports) response.transports = made.response.getTransports();
    return JSON.stringify({ id: made.id, rawId: text(made.rawId), type: made.type, response });
  };

  const post = (form, answer) => {
    whole(form).elements.credential.value = answer;
    whole(form).submit();
  };
  const send = (form, made) => post(form, answered(made));

  const tell = (form, sentence) => {
    const said = form.querySelector("[role=alert]") ?? document.createElement("p");
    said.className = "box bad";
    said.setAttribute("role", "alert");
    said.textContent = sentence;
    form.append(said);
  };

  const opened = Date.now();
  const isOver = (form) => Date.now() - opened > asked(form).timeout;
  // What was asked is asked anew by the page itself, opened again: a form that was answered is never sent twice.
  const openAgain = () => location.replace(location.href.split("#")[0]);
  const nothingIsTyped = () =>
    [...document.querySelectorAll("input:not([type=hidden])")].every((field) => field.value === field.defaultValue);

  // Only one question may be open in a browser: what the field of the user name offers ends before another begins.
  let offer = null;
  const offerInTheField = async (form) => {
    if (!("offered" in form.dataset) || !(await PublicKeyCredential.isConditionalMediationAvailable?.())) return;
    offer = new AbortController();
    setTimeout(() => offer?.abort(), asked(form).timeout);
    try {
      const { signal } = offer;
      send(form, await navigator.credentials.get({ publicKey: asked(form), mediation: "conditional", signal }));
    } catch {
      // Not taken up, or there was none to offer: the page is as it was.
    }
  };

  const ask = async (form, button) => {
    if (!isFilledIn(form)) return;
    // What was typed comes back with the page's next question.
    if (isOver(form)) return whole(form) === form ? openAgain() : post(form, "late");
    offer?.abort();
    button.disabled = true;
    try {
      send(form, await navigator.credentials[form.dataset.passkey]({ publicKey: asked(form) }));
    } catch (problem) {
      const { sayTaken, sayNothing } = form.dataset;
      tell(form, problem.name === "InvalidStateError" && sayTaken ? sayTaken : sayNothing);
      button.disabled = false;
      button.focus();
      offerInTheField(form);
    }
  };

  if (window.PublicKeyCredential && navigator.credentials) {
    for (const form of document.querySelectorAll("form[data-passkey]")) {
      form.hidden = false;
      const button = form.querySelector("button[type=button]");
      button.addEventListener("click", () => ask(form, button));
      form.addEventListener("submit", (event) => {
        event.preventDefault();
        ask(form, button);
      });
      offerInTheField(form);
      document.addEventListener("visibilitychange", () => {
        if (!document.hidden && "offered" in form.dataset && isOver(form) && nothingIsTyped()) openAgain();
      });
    }
    for (const note of document.querySelectorAll("[data-without-passkeys]")) note.hidden = true;
  }
}
