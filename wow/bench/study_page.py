"""The page of a human study: one file that loads nothing, asks one question at a time, and gives the answers as a file.

Answers are kept in the browser until they are downloaded, so that a closed window loses nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from wow.bench.sheet import PHONES, visible

STYLE = """
:root { color-scheme: light dark; --muted: #5f6773; --line: #8886; }
@media (prefers-color-scheme: dark) { :root { --muted: #a3abb8; } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 640px; margin: 1.5rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; } video { width: 100%; max-width: 420px; border-radius: 6px; background: #000; display: block; }
fieldset { border: 0; padding: 0; margin: 1rem 0; } legend { font-weight: 600; padding: 0; }
small { color: var(--muted); display: block; } button, input { font: inherit; } button { padding: .5rem 1rem;
margin: .5rem .5rem 0 0; }
.options { display: flex; flex-wrap: wrap; gap: .4rem; align-items: center; margin-top: .3rem; }
.options label { border: 1px solid var(--line); border-radius: 6px; padding: .45rem .8rem; cursor: pointer; }
.options label:has(:checked) { outline: 2px solid #2a6fdb; }
.points { flex-wrap: nowrap; } .points label { flex: 1; text-align: center; padding: .45rem 0; }
.points, .ends { max-width: 420px; } .ends { display: flex; justify-content: space-between; color: var(--muted);
font-size: .85rem; }
progress { width: 100%; } .prompt { font-size: 1.1rem; margin: .6rem 0; overflow-wrap: anywhere; }
"""

_SCRIPT = """
"use strict";
const study = JSON.parse(document.getElementById("study").textContent);
const place = document.getElementById("place"), store = "wow-study-" + study.name;
let answers = {};
try { answers = JSON.parse(localStorage.getItem(store)) || {}; } catch (problem) { answers = {}; }
const rater = document.getElementById("rater");
rater.value = answers.rater || "";
rater.oninput = () => { answers.rater = rater.value; keep(); };
answers.items = answers.items || {};
function keep() {
  try { localStorage.setItem(store, JSON.stringify(answers)); } catch (problem) { /* a private window keeps nothing */ }
}
function made(kind, text, parent) {
  const found = document.createElement(kind);
  if (text) found.textContent = text;
  parent.append(found);
  return found;
}
function asked(form, name, title, hint, options, ends) {
  const field = made("fieldset", "", form);
  made("legend", title, field);
  if (hint) made("small", hint, field);
  const row = made("div", "", field);
  row.className = "options";
  for (const [value, text] of options) {
    const label = made("label", "", row), input = made("input", "", label);
    input.type = "radio"; input.name = name; input.value = value; input.required = true;
    label.append(" " + text);
  }
  if (!ends) return;
  row.classList.add("points");
  const below = made("div", "", field);
  below.className = "ends";
  for (const end of ends) made("span", end, below);
}
function button(text, parent, action) {
  const found = made("button", text, parent);
  found.type = "button"; found.onclick = action;
  return found;
}
function count() { return study.items.filter(one => one.id in answers.items).length; }
function show(back) {
  place.replaceChildren();
  const total = study.items.length, first = study.items.findIndex(one => !(one.id in answers.items));
  const number = back === undefined ? first : back, item = study.items[number];
  const bar = made("progress", "", place), told = made("small", "", place);
  bar.max = total; bar.value = count(); bar.setAttribute("aria-label", "answered");
  if (!item) {
    told.textContent = "All " + total + " questions are answered.";
    made("p", "That was all: thank you. Write your name above, download your answers and send the file back.", place);
    button("Back to the last question", place, () => show(total - 1));
    button("Another person: begin anew", place, () => {
      if (!confirm("This deletes the answers on this page. Have you downloaded them?")) return;
      answers = {items: {}}; rater.value = ""; note.textContent = ""; keep(); show();
    });
    return;
  }
  told.textContent = "Question " + (number + 1) + " of " + total;
  const film = made("video", "", place);
  film.src = item.film; film.autoplay = film.loop = film.muted = film.controls = film.playsInline = true;
  film.setAttribute("aria-label", "video of question " + (number + 1));
  const form = made("form", "", place);
  if (item.task === "rating") {
    made("p", "Instruction: " + item.prompt, form).className = "prompt";
    const points = [1, 2, 3, 4, 5].map(point => [point, point]), ends = ["worst", "best"];
    for (const [name, [title, hint]] of Object.entries(study.scales)) asked(form, name, title, hint, points, ends);
  } else {
    made("p", "Was this filmed, or made by a program that imagines videos?", form).className = "prompt";
    asked(form, "choice", "Your guess", "", [["real", "filmed"], ["generated", "imagined"]]);
  }
  for (const [name, value] of Object.entries(answers.items[item.id] || {}))
    for (const input of form.elements) if (input.name === name) input.checked = input.value === String(value);
  if (number > 0) button("Back", form, () => show(number - 1));
  made("button", "Next", form);
  form.onsubmit = event => {
    event.preventDefault();
    const given = Object.fromEntries(new FormData(form));
    if (item.task === "rating") for (const name in given) given[name] = Number(given[name]);
    answers.items[item.id] = given;
    keep(); show();
    place.scrollIntoView();
    place.querySelector("input, button").focus({preventScroll: true});
  };
}
const note = document.getElementById("note");
document.getElementById("save").onclick = () => {
  if (!rater.value.trim()) { note.textContent = "Write your name or a nickname first."; rater.focus(); return; }
  const told = {format: 1, study: study.name, rater: rater.value.trim(), items: answers.items};
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([JSON.stringify(told, null, 1)], {type: "application/json"}));
  link.download = "answers-" + told.rater.replace(/[^a-z0-9-]+/gi, "-") + ".json";
  link.click();
  const held = count() + " of " + study.items.length;
  note.textContent = link.download + " is in your downloads; it holds " + held + " answers.";
};
show();
"""


def study_page(name: str, items: Sequence[Mapping[str, str]], scales: Mapping[str, tuple[str, str]]) -> str:
    """The page as text. items: in the order in which they are shown, each with id, task, prompt and film."""
    told = json.dumps(
        {"name": name, "items": [{**item, "prompt": visible(item["prompt"])} for item in items], "scales": scales}
    )
    # Whatever a prompt says stays text: no tag can begin inside the script that holds it.
    data = told.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; media-src data:"
    head = (
        f'<meta charset="utf-8">{PHONES}<title>Videos of robots</title>'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}"><style>{STYLE}</style>'
    )
    body = (
        "<h1>Videos of robots</h1><p>You see short videos of a robot, one after the other. Some are to be rated from "
        "1 (worst) to 5 (best), of others you say whether they are real. Take your time; you can close the page and "
        "go on later.</p>"
        '<p><label>Your name or a nickname <input id="rater" maxlength="60"></label>'
        '<button id="save" type="button">Download my answers</button>'
        '<small id="note" role="status"></small></p><main id="place"></main>'
        f'<script type="application/json" id="study">{data}</script><script>{_SCRIPT}</script>'
    )
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>{body}</body></html>\n'
