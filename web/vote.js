// Makes the form of a vote easier where scripts run. The plain form stays what is sent: ranks are put into its fields.
// A vote that cannot be sent is kept on this device and sent again under the same key, so it never counts twice.
const language = `${document.documentElement.lang}-u-nu-latn`;
const plurals = new Intl.PluralRules(language);
const number = new Intl.NumberFormat(language);
let words, form, due, waits;

// What is kept on this device. A browser may refuse to keep anything: then it is kept as long as the page is open.
const place = `canvass-vote:${location.pathname}`;
let kept = attempt(() => localStorage.getItem(place));

function attempt(act) {
  try {
    return act();
  } catch {
    return null;
  }
}

function remember(body) {
  kept = body;
  attempt(() => (body ? localStorage.setItem(place, body) : localStorage.removeItem(place)));
}


const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);
const count = (forms, value, values) =>
  fill(forms[plurals.select(value)] ?? forms.other, { count: number.format(value), ...values });

function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function press(text, label, act) {
  const button = make("button", { type: "button", class: "tool", "aria-label": label }, text);
  button.addEventListener("click", act);
  return button;
}

// The code of a link such as /p/club#code=ABCD: the part after # is sent to no server, and is taken out of the address.
function takeCode() {
  const code = new URLSearchParams(location.hash.slice(1)).get("code");
  if (!code) return;
  for (const field of document.querySelectorAll("input[name=code]")) field.value = code;
  history.replaceState(null, "", location.pathname + location.search);
}

// Ranking: rows in order, those that are ranked above those that are not.
function rank(fieldset) {
  const isAlikeAllowed = fieldset.dataset.alike !== undefined;
  const said = make("p", { class: "aside", role: "status" });
  const [ranked, unranked] = ["ranked", "unranked"].map((name) => make("ol", { class: `ranks ${name}` }));
  const heading = make("p", { class: "soft" }, words.unranked);
  const rows = [...fieldset.querySelectorAll(".mark")].map(row);
  fieldset.querySelector("legend").textContent = words.rank + (isAlikeAllowed ? ` ${words.alike_note}` : "");
  const placed = rows.filter((item) => Number(item.field.value)).sort((a, b) => a.field.value - b.field.value);
  placed.forEach((item, index) => (item.isAlike = isAlikeAllowed && placed[index - 1]?.field.value === item.field.value));
  ranked.append(...placed);
  unranked.append(...rows.filter((item) => !placed.includes(item)));
  fieldset.append(ranked, heading, unranked, said);
  numberAll();

  function row(label, index) {
    const item = make("li", { class: "rank" });
    const [name, field] = label.children;
    const text = name.textContent;
    field.hidden = true;
    const grip = make("span", { class: "grip", "aria-hidden": "true" }, "⠿");
    const place = press("", "", () => move(item, item.parentElement === ranked ? unranked : ranked, null));
    place.className = "place";
    place.addEventListener("keydown", (event) => {
      const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
      if (!step) return;
      event.preventDefault();
      shift(item, step);
    });
    const alike = press("=", fill(words.alike, { label: text }), () => ((item.isAlike = !item.isAlike), tell(item)));
    const up = press("↑", fill(words.up, { label: text }), () => shift(item, -1));
    const down = press("↓", fill(words.down, { label: text }), () => shift(item, 1));
    Object.assign(item, { field, place, alike, up, down, text, index, isAlike: false });
    item.append(grip, place, name, ...(isAlikeAllowed ? [alike] : []), up, down, field);
    label.remove();
    grip.addEventListener("pointerdown", (event) => drag(item, grip, event));
    return item;
  }

  function shift(item, step) {
    const other = step < 0 ? item.previousElementSibling : item.nextElementSibling;
    if (item.parentElement === unranked) move(item, ranked, null);
    else if (other) move(item, ranked, step < 0 ? other : other.nextElementSibling);
  }

  function move(item, list, before) {
    const held = item.contains(document.activeElement) ? document.activeElement : null;
    const after = list === unranked ? [...unranked.children].find((other) => other.index > item.index) : before;
    list.insertBefore(item, after ?? null);
    item.isAlike = false;
    numberAll();
    (held?.disabled ? item.place : held)?.focus();
    tell(item);
  }

  function tell(item) {
    numberAll();
    said.textContent = item.place.getAttribute("aria-label");
  }

  function numberAll() {
    let place = 0;
    [...ranked.children].forEach((item, index) => {
      if (!index) item.isAlike = false;
      if (!item.isAlike) place += 1;
      item.field.value = place;
      item.place.textContent = number.format(place);
      item.place.setAttribute("aria-label", fill(words.placed, { label: item.text, place: number.format(place) }));
      item.alike.setAttribute("aria-pressed", item.isAlike);
      item.alike.disabled = item.up.disabled = !index;
      item.down.disabled = index === ranked.children.length - 1;
      item.classList.toggle("alike", item.isAlike);
    });
    for (const item of unranked.children) {
      item.field.value = "";
      item.place.textContent = "+";
      item.place.setAttribute("aria-label", fill(words.unplaced, { label: item.text }));
    }
    heading.hidden = !unranked.children.length;
  }

  function drag(item, grip, event) {
    if (event.button) return;
    event.preventDefault();
    grip.setPointerCapture(event.pointerId);
    item.classList.add("dragged");
    const follow = ({ clientY }) => {
      const list = unranked.children.length && clientY > heading.getBoundingClientRect().bottom ? unranked : ranked;
      const middle = (other) => other.getBoundingClientRect().top + other.offsetHeight / 2;
      const before = [...list.children].find((other) => other !== item && clientY < middle(other)) ?? null;
      if (item.parentElement !== list || (list === ranked && item.nextElementSibling !== before)) move(item, list, before);
    };
    const end = () => {
      item.classList.remove("dragged");
      grip.removeEventListener("pointermove", follow);
    };
    grip.addEventListener("pointermove", follow);
    for (const name of ["pointerup", "pointercancel"]) grip.addEventListener(name, end, { once: true });
  }
}

// Dots and credits: one more, one less, and what is left.
function spend(fieldset) {
  const total = Number(fieldset.dataset.budget);
  const isSquared = fieldset.dataset.squared !== undefined;
  const meter = make("progress", { max: total, "aria-hidden": "true" });
  const left = make("output", {});
  const fields = [...fieldset.querySelectorAll("input[type=number]")];
  for (const field of fields) {
    const label = field.parentElement.querySelector("span").textContent;
    const step = (by) => () => {
      field.value = Math.min(field.max, Math.max(field.min, Number(field.value) + by));
      tell();
    };
    field.setAttribute("aria-label", label);
    field.before(press("−", fill(words.less, { label }), step(-1)));
    field.after(press("+", fill(words.more, { label }), step(1)));
  }
  fieldset.querySelector("legend").after(make("div", { class: "budget" }, left, meter));
  fieldset.addEventListener("input", tell);
  tell();

  function tell() {
    const cost = (value) => (isSquared ? value * value : value);
    const rest = total - fields.reduce((sum, field) => sum + cost(Number(field.value)), 0);
    left.value = rest < 0 ? count(words.over, -rest) : count(words.left, rest, { total: number.format(total) });
    left.classList.toggle("warning", rest < 0);
    meter.value = Math.max(0, rest);
    fields[0]?.setCustomValidity(rest < 0 ? left.value : "");
  }
}

// Sending: the same body until the server has answered.
async function send(body) {
  clearTimeout(due);
  remember(body);
  tellSending(words.sending);
  const headers = { "content-type": "application/x-www-form-urlencoded" };
  const signal = AbortSignal.timeout(20_000);
  const answer = await fetch(location.pathname, { method: "POST", body, headers, signal, redirect: "manual" }).catch(() => null);
  if (!answer || answer.status === 429 || answer.status >= 500) return keep(body, answer);
  remember(null);
  if (answer.type === "opaqueredirect") return location.assign(`${location.pathname}/receipt`);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  document.querySelector("main").replaceWith(page.querySelector("main"));
  enhance();
}

function keep(body, answer) {
  tellSending(answer ? words.busy : words.kept, body);
  waits = Math.min(30, (waits ?? 1) * 2);
  due = setTimeout(() => send(body), waits * 1000 * (0.5 + Math.random() / 2));
}

// While a vote is on its way, the form rests; what is not sent yet can be changed.
function tellSending(text, body) {
  const isWaiting = body !== undefined;
  rest(true);
  let told = form.querySelector(".sending");
  if (!told) form.append((told = make("div", { class: "sending" }, make("p", { role: "status" }))));
  const status = told.querySelector("p");
  if (status.textContent !== text) status.textContent = text;
  told.classList.toggle("waiting", isWaiting);
  told.querySelector("button")?.remove();
  if (isWaiting) told.append(press(words.change, words.change, change));
}

function rest(isResting) {
  for (const field of form.querySelectorAll(":scope > :is(fieldset, button), :scope > label > input")) field.disabled = isResting;
}

function change() {
  clearTimeout(due);
  remember(null);
  form.querySelector(".sending").remove();
  rest(false);
  form.querySelector("button:not([type])").focus();
}

function enhance() {
  takeCode();
  form = document.querySelector("form[data-words]");
  if (!form) return;
  words = JSON.parse(form.dataset.words);
  const fieldset = form.querySelector(".options");
  if (fieldset.dataset.ranks !== undefined) rank(fieldset);
  if (fieldset.dataset.budget) spend(fieldset);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send(new URLSearchParams(new FormData(form)).toString());
  });
  if (kept) send(kept);
}

// A page that comes back as it was left would still be sending.
addEventListener("pageshow", (event) => event.persisted && location.reload());
addEventListener("hashchange", takeCode);
addEventListener("online", () => {
  if (kept && due) send(kept);
});
enhance();
