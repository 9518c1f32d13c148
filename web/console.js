// Times are entered in the organiser's own zone, which is named, and sent in UTC, as the form is without this script.
const fields = [...document.querySelectorAll("input[type=datetime-local]")];
const pad = (number) => String(number).padStart(2, "0");

function minute(date, part) {
  const read = (name) => date[`get${part}${name}`]();
  const day = `${read("FullYear")}-${pad(read("Month") + 1)}-${pad(read("Date"))}`;
  return `${day}T${pad(read("Hours"))}:${pad(read("Minutes"))}`;
}

function zone() {
  const parts = new Intl.DateTimeFormat(document.documentElement.lang, { timeZoneName: "long" }).formatToParts(new Date());
  return parts.find((part) => part.type === "timeZoneName")?.value ?? "";
}

for (const field of fields) {
  if (field.value) field.value = minute(new Date(`${field.value}Z`), "");
  const sent = Object.assign(document.createElement("input"), { type: "hidden", name: field.name });
  field.removeAttribute("name");
  field.after(sent);
  const tell = () => { sent.value = field.value ? minute(new Date(field.value), "UTC") : ""; };
  field.addEventListener("input", tell);
  tell();
}
for (const name of document.querySelectorAll("[data-zone-name]")) name.textContent = `(${zone()})`;
