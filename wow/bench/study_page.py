"""The page of a human study: one file that loads nothing, asks one question at a time, and gives the answers as a file.

Answers are kept in the browser until they are downloaded, so that a closed window loses nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

STYLE = """
:root { color-scheme: light dark; } body { font: 16px/1.5 system-ui, sans-serif; max-width: 640px; margin: 2rem auto;
padding: 0 1rem; } video { width: 100%; max-width: 420px; border-radius: 6px; background: #000; display: block; }
fieldset { border: 0; padding: 0; margin: 1rem 0; } legend { font-weight: 600; } label { margin-right: 1rem; }
small { color: #6b7280; display: block; } button { font: inherit; padding: .4rem 1rem; margin: .5rem .5rem 0 0; }
progress { width: 100%; } .prompt { font-size: 1.1rem; margin: .6rem 0; }
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
function asked(form, name, title, hint, options) {
  const field = made("fieldset", "", form);
  made("legend", title, field);
  if (hint) made("small", hint, field);
  for (const [value, text] of options) {
    const label = made("label", "", field), input = made("input", "", label);
    input.type = "radio"; input.name = name; input.value = value; input.required = true;
    label.append(" " + text);
  }
}
function show() {
  place.replaceChildren();
  const item = study.items.find(one => !(one.id in answers.items));
  const done = Object.keys(answers.items).length, bar = made("progress", "", place);
  bar.max = study.items.length; bar.value = done;
  if (!item) {
    made("p", "That was all: thank you. Download your answers and send the file back.", place);
    return;
  }
  const film = made("video", "", place);
  film.src = item.film; film.autoplay = film.loop = film.muted = film.controls = true;
  const form = made("form", "", place);
  if (item.task === "rating") {
    made("p", "Instruction: " + item.prompt, form).className = "prompt";
    const points = [1, 2, 3, 4, 5].map(point => [point, point]);
    for (const [name, [title, hint]] of Object.entries(study.scales)) asked(form, name, title, hint, points);
  } else {
    made("p", "Was this filmed, or made by a program that imagines videos?", form).className = "prompt";
    asked(form, "choice", "Your guess", "", [["real", "filmed"], ["generated", "imagined"]]);
  }
  made("button", "Next", form);
  form.onsubmit = event => {
    event.preventDefault();
    const given = Object.fromEntries(new FormData(form));
    if (item.task === "rating") for (const name in given) given[name] = Number(given[name]);
    answers.items[item.id] = given;
    keep(); show();
  };
}
document.getElementById("save").onclick = () => {
  if (!rater.value.trim()) { rater.focus(); return; }
  const told = {format: 1, study: study.name, rater: rater.value.trim(), items: answers.items};
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([JSON.stringify(told, null, 1)], {type: "application/json"}));
  link.download = "answers-" + told.rater.replace(/[^a-z0-9-]+/gi, "-") + ".json";
  link.click();
};
show();
"""


def study_page(name: str, items: Sequence[Mapping[str, str]], scales: Mapping[str, tuple[str, str]]) -> str:
    """The page as text. items: in the order in which they are shown, each with id, task, prompt and film."""
    told = json.dumps({"name": name, "items": list(items), "scales": scales})
    # Whatever a prompt says stays text: no tag can begin inside the script that holds it.
    data = told.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; media-src data:"
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Videos of robots</title>'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}"><style>{STYLE}</style>'
    )
    body = (
        "<h1>Videos of robots</h1><p>You see short videos of a robot, one after the other. Some are to be rated, of "
        "others you say whether they are real. There is no right speed; you can close the page and go on later.</p>"
        '<p><label>Your name or a nickname <input id="rater" maxlength="60"></label>'
        '<button id="save" type="button">Download my answers</button></p><main id="place"></main>'
        f'<script type="application/json" id="study">{data}</script><script>{_SCRIPT}</script>'
    )
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>{body}</body></html>\n'
