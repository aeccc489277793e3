// Bring the page to life: without this script it shows drawn figures and plain tables, and says all the same.

for (const table of document.querySelectorAll("table.sortable")) makeSortable(table);

for (const block of document.querySelectorAll('script[type="application/json"]')) {
  const data = JSON.parse(block.textContent);
  const choice = new Choice(data.configurations);
  for (const [name, Chart] of [["effort", Effort], ["bands", Bands]]) {
    const root = document.getElementById(`${block.dataset.part}-${name}-live`);
    if (!root) continue;
    root.hidden = false;
    try {
      new Chart(root, data, choice);
      // On paper the drawn figures are shown.
      root.nextElementSibling.classList.add("on-paper");
    } catch (error) {
      // The drawn figures stay, and so do the other charts.
      root.hidden = true;
      console.error(error);
    }
  }
}
