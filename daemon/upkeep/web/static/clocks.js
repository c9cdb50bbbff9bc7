// Times of day in the reader's own zone; without this script they stand in UTC.
const localise = (within) => {
  for (const time of within.querySelectorAll("time.local")) {
    const moment = new Date(time.dateTime);
    if (!Number.isNaN(moment.getTime())) {
      time.textContent = moment.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
    }
  }
};
localise(document);
document.addEventListener("upkeep:arrived", (event) => localise(event.detail));
