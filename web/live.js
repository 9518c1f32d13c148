// Keeps a page of results as new as the poll: figures in place from the stream, all else from the page itself. Where
// the stream fails, the page is asked every few seconds. Nothing goes backwards.
const main = document.querySelector("main[data-poll]");
const data = main.dataset;
const find = (selector, within = main) => within.querySelector(selector);
const all = (selector) => [...main.querySelectorAll(selector)];
const words = JSON.parse(data.words);
const language = `${document.documentElement.lang}-u-nu-latn`;
const number = new Intl.NumberFormat(language, { maximumFractionDigits: 2 });
const percent = new Intl.NumberFormat(language, { style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1 });
const plurals = new Intl.PluralRules(language);
const later = (act, least, most) => setTimeout(act, least + Math.random() * (most - least));
let due;

function write(element, text) {
  if (element && element.textContent !== text) element.textContent = text;
}

function tellOption(row, option, results, field, most) {
  const figure = Number(option[field] ?? 0);
  const part = field === "votes" ? option.share : most && Math.max(figure, 0) / most;
  write(find("[data-figure]", row), option[field] === undefined ? "–" : number.format(figure));
  write(find("[data-share]", row), percent.format(option.share));
  find("rect", row).setAttribute("width", `${(part * 100).toFixed(1)}%`);
  const badge = find(".badge", row);
  const word = results.winners.includes(option.id) ? words.leads : results.tied.includes(option.id) ? words.tied : "";
  write(badge, results.votes ? word : "");
  badge.hidden = !badge.textContent;
}

function tell(results) {
  if (results.sequence <= data.sequence) return;
  data.sequence = results.sequence;
  write(find("[data-records]"), String(results.sequence));
  write(find("[data-votes]"), number.format(results.votes));
  write(find("[data-votes-word]"), words.votes[plurals.select(results.votes)] ?? words.votes.other);
  find("[data-part=last] time").dateTime = results.updatedAt;
  const field = find("[data-figure]")?.dataset.figure;
  const most = Math.max(0, ...results.options.map((option) => Number(option[field] ?? 0)));
  const options = new Map(results.options.map((option) => [option.id, option]));
  for (const row of all("[data-option]")) {
    const option = options.get(row.dataset.option);
    if (results.visible && option) tellOption(row, option, results, field, most);
  }
  const { status, visible, winners, tied } = results;
  const shape = `${status}/${visible}/${results.options.length}/${winners}/${tied}`;
  if (shape !== data.shape || find(".rounds, .pairs")) due ??= later(refresh, 500, 2000);
}

async function refresh() {
  due = undefined;
  const answer = await fetch(location.href, { cache: "no-store" }).catch(() => null);
  if (!answer?.ok) return;
  const fresh = find("main[data-poll]", new DOMParser().parseFromString(await answer.text(), "text/html"));
  if (!fresh || Number(fresh.dataset.sequence) < data.sequence) return;
  for (const part of all("[data-part]")) {
    const newer = find(`[data-part=${part.dataset.part}]`, fresh);
    if (newer && newer.innerHTML !== part.innerHTML) part.replaceChildren(...newer.childNodes);
  }
  Object.assign(data, fresh.dataset);
}

async function poll() {
  await refresh();
  later(listen, 4000, 8000);
}

function listen() {
  const source = new EventSource(data.stream);
  const say = (text) => write(find("[data-link]"), text);
  source.onopen = () => say(` · ${words.live}`);
  source.addEventListener("results", (event) => tell(JSON.parse(event.data)));
  source.onerror = () => {
    say(` · ${words.connecting}`);
    if (source.readyState === EventSource.CLOSED) poll();
  };
}

// On a large screen the count can be hidden until the hall is to see it, without leaving the full screen.
for (const way of all("[data-draw]")) {
  way.addEventListener("click", (event) => {
    event.preventDefault();
    main.toggleAttribute("data-curtain", way.search !== "");
    const address = new URL(location);
    if (way.search) address.searchParams.set("hide", "");
    else address.searchParams.delete("hide");
    history.replaceState(null, "", address);
    find(main.hasAttribute("data-curtain") ? "[href='?']" : "[href='?hide']").focus();
  });
}
const full = find("[data-full]");
if (full && document.fullscreenEnabled) {
  full.hidden = false;
  full.addEventListener("click", () => (document.fullscreenElement ? document.exitFullscreen() : document.documentElement.requestFullscreen()));
}

if (data.final === undefined) listen();
