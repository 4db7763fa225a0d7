/* Brings the page to what the server says. Whatever is the same stays the same element, so that
   focus, selection and scrolling survive; what is marked `data-keep` is left alone. */

import { tick } from "./clocks.js";

function element(markup) {
  const template = document.createElement("template");
  template.innerHTML = markup.trim();
  return template.content.firstElementChild;
}

function morph(old, fresh) {
  if (old.nodeName !== fresh.nodeName || old.id !== fresh.id) {
    old.replaceWith(fresh);
    return;
  }
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data;
    return;
  }
  if (old.hasAttribute("data-keep") && fresh.hasAttribute("data-keep")) return;
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name)) old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  const [had, have] = [[...old.childNodes], [...fresh.childNodes]];
  have.forEach((child, place) => (had[place] ? morph(had[place], child) : old.append(child)));
  had.slice(have.length).forEach((child) => child.remove());
}

function arrange(list, order) {
  const wanted = new Set(order);
  for (const row of [...list.children]) if (!wanted.has(row.id)) row.remove();
  let place = list.firstElementChild;
  for (const id of order) {
    const row = document.getElementById(id);
    if (row === place) place = place.nextElementSibling;
    else if (row) list.insertBefore(row, place);
  }
}

function paintRow(list, fresh) {
  const old = document.getElementById(fresh.id);
  if (old) return morph(old, fresh);
  fresh.classList.add("new");
  list.append(fresh);
}

/* A message of the socket. */
export function paint({ parts = {}, rows = {}, order }) {
  for (const [id, markup] of Object.entries(parts)) {
    const old = document.getElementById(id);
    if (old) morph(old, element(markup));
  }
  const list = document.getElementById("rows");
  if (list) {
    for (const markup of Object.values(rows)) paintRow(list, element(markup));
    if (order) arrange(list, order);
  }
  tick();
}

/* The same page, fetched again. */
export function adopt(page) {
  const outer = (found) => [found.id, found.outerHTML];
  const rows = [...page.querySelectorAll("#rows > tr")];
  paint({
    parts: Object.fromEntries([...page.querySelectorAll("[data-live]")].map(outer)),
    rows: Object.fromEntries(rows.map(outer)),
    order: rows.map((row) => row.id),
  });
}
