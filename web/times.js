// Tells times in the viewer's zone, which is named, and in the page's language; also those that come later.
const language = document.documentElement.lang;
const form = { year: "numeric", month: "short", day: "numeric", hour: "numeric", minute: "2-digit", timeZoneName: "short" };
const format = new Intl.DateTimeFormat(`${language}-u-nu-latn`, form);

function tell() {
  for (const time of document.querySelectorAll("time[datetime]")) {
    const text = format.format(new Date(time.dateTime));
    if (time.textContent !== text) time.textContent = text;
  }
}

tell();
const changes = { subtree: true, childList: true, attributes: true, attributeFilter: ["datetime"] };
new MutationObserver(tell).observe(document.body, changes);
