// Looks closer at a stretch of time that is dragged across on the picture. The fields below it do the same by keyboard.
const chart = document.querySelector(".chart");

function second(event) {
  const box = chart.getBoundingClientRect();
  const part = Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1);
  const [from, to] = [Number(chart.dataset.from), Number(chart.dataset.to)];
  return from + part * (to - from);
}

function mark(shape, [first, last]) {
  const [from, to] = [Number(chart.dataset.from), Number(chart.dataset.to)];
  const place = (moment) => ((moment - from) / (to - from)) * 960;
  shape.setAttribute("x", place(first));
  shape.setAttribute("width", place(last) - place(first));
}

function zoom([from, to]) {
  const query = new URLSearchParams(location.search);
  const text = (moment) => new Date(moment * 1000).toISOString().slice(0, 16);
  query.set("from", text(from));
  query.set("to", text(to));
  query.delete("step");
  location.search = query;
}

function drag(start) {
  if (start.button !== 0) return;
  const shape = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  shape.setAttribute("class", "chosen");
  shape.setAttribute("height", 240);
  chart.append(shape);
  chart.setPointerCapture(start.pointerId);
  const first = second(start);
  const stretch = (event) => [first, second(event)].sort((a, b) => a - b);
  const ends = new AbortController();
  const on = (name, act) => addEventListener(name, act, { signal: ends.signal });
  const end = () => {
    ends.abort();
    shape.remove();
  };
  on("pointermove", (event) => mark(shape, stretch(event)));
  on("pointerup", (event) => {
    end();
    const [from, to] = stretch(event);
    if (Math.abs(event.clientX - start.clientX) > 8 && to - from >= 60) zoom([from, to]);
  });
  on("pointercancel", end);
  on("keydown", (event) => event.key === "Escape" && end());
}

if (chart) {
  chart.classList.add("zooms");
  document.querySelector("[data-drag]").hidden = false;
  chart.addEventListener("pointerdown", drag);
}
