// For comfort only: every page works without it. The words come from the page, in its language.
"use strict";

const words = document.currentScript.dataset;

// Which time zone the reader is in, for the times on our pages. Read by provider/web/locale.py.
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
if (zone && !document.cookie.split("; ").includes(`${words.zoneCookie}=${zone}`)) {
  const secure = location.protocol === "https:" ? "; Secure" : "";
  document.cookie = `${words.zoneCookie}=${zone}; Path=/; Max-Age=31536000; SameSite=Lax${secure}`;
}

// On a narrow screen the navigation is one row: the area at hand is to be seen in it.
document.querySelector(".side [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });

const button = (text, label) => {
  const made = document.createElement("button");
  made.type = "button";
  made.className = "comfort";
  made.textContent = text;
  made.setAttribute("aria-label", label);
  return made;
};

// Copy buttons: `data-copy` on an element names what is copied.
const said = document.createElement("p");
said.className = "visually-hidden";
said.setAttribute("aria-live", "polite");

for (const source of document.querySelectorAll("[data-copy]")) {
  if (!navigator.clipboard) break;
  const copy = button(words.sayCopy, source.dataset.copy);
  copy.addEventListener("click", async () => {
    const lines = [...source.querySelectorAll("li")].map((line) => line.textContent.trim());
    await navigator.clipboard.writeText(lines.length ? lines.join("\n") : source.textContent.trim());
    copy.textContent = said.textContent = words.sayCopied;
    copy.setAttribute("aria-label", words.sayCopied);
    setTimeout(() => {
      copy.textContent = words.sayCopy;
      copy.setAttribute("aria-label", source.dataset.copy);
      said.textContent = "";
    }, 4000);
  });
  source.after(copy);
}
document.body.append(said);

// A look at the password that was typed, until the form is sent. No button: the first one of a form is what sends it.
for (const field of document.querySelectorAll("input[type=password]")) {
  const box = document.createElement("input");
  box.type = "checkbox";
  const label = document.createElement("label");
  label.className = "comfort";
  label.append(box, words.sayShowPassword);
  const turn = (shown) => {
    field.type = shown ? "text" : "password";
    box.checked = shown;
  };
  box.addEventListener("change", () => turn(box.checked));
  field.form.addEventListener("submit", () => turn(false));
  (field.parentElement.querySelector(".mistake") ?? field).after(label);
}
