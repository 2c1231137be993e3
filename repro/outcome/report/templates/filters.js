"use strict";
// Filters over what is on the page; without them all of it is shown.
(() => {
  const form = document.getElementById("filters");
  const shown = document.getElementById("shown");
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const figures = all(".figure");

  function apply() {
    const { paper = "", profile, verdict } = Object.fromEntries(new FormData(form));
    for (const one of all("[data-profile]")) {
      const other = profile && one.dataset.profile !== profile;
      one.hidden = Boolean(other || (verdict && "verdict" in one.dataset && one.dataset.verdict !== verdict));
    }
    for (const claim of all(".claim")) {
      claim.hidden = !claim.querySelector(".outcome:not([hidden])");
    }
    for (const figure of figures) {
      const ofOther = paper && !figure.id.startsWith(`${paper}/`);
      const left = figure.querySelector(".claim:not([hidden])");
      figure.hidden = Boolean(ofOther || ((profile || verdict) && !left));
    }
    for (const row of all("[data-figure]")) {
      row.hidden = document.getElementById(row.dataset.figure).hidden;
    }
    for (const one of all("[data-paper], .paper")) {
      one.hidden = Boolean(paper) && (one.dataset.paper || one.id) !== paper;
    }
    const left = figures.filter((figure) => !figure.hidden).length;
    shown.textContent = `${left} of ${figures.length} figures`;
  }

  // A link leads to its target even where the filters had hidden it.
  function reveal() {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target && target.closest("[hidden]")) {
      form.reset();
      apply();
      target.scrollIntoView();
    }
  }

  form.addEventListener("input", apply);
  form.addEventListener("reset", () => setTimeout(apply));
  window.addEventListener("hashchange", reveal);
  form.hidden = false;
  apply();
})();
