// Times of day in the reader's own zone; without this script they stand in UTC.
for (const time of document.querySelectorAll("time.local")) {
  const moment = new Date(time.dateTime);
  if (!Number.isNaN(moment.getTime())) {
    time.textContent = moment.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
  }
}
