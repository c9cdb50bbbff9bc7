// Links that look like buttons, and say that they are, answer to the space bar as buttons do:
// https://www.w3.org/WAI/ARIA/apg/patterns/button/
document.addEventListener("keydown", (event) => {
  if (event.key === " " && event.target.matches('a[role="button"]')) {
    event.preventDefault();
    event.target.click();
  }
});
