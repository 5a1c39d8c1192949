// What scrolls sideways is reached by the keyboard and has a name, as long as it scrolls; what is printed is light.
(function () {
  const AREAS = ".aeda-picture, .aeda-table-box, .aeda-math, .pst-scrollable-table-container";

  function name(area) {
    const words = area.querySelector("figcaption, caption, [role=img]");
    const text = words ? words.getAttribute("aria-label") || words.textContent : "";
    return text.trim().split(/(?<=[^.]{4}\.)\s/)[0] || "Formula";
  }

  function mark(area) {
    if (area.scrollWidth > area.clientWidth) {
      area.tabIndex = 0;
      area.setAttribute("role", "region");
      area.setAttribute("aria-label", name(area));
    } else ["tabindex", "role", "aria-label"].forEach((each) => area.removeAttribute(each));
  }

  addEventListener("DOMContentLoaded", function () {
    const seen = new ResizeObserver((entries) => entries.forEach((entry) => mark(entry.target)));
    document.querySelectorAll(AREAS).forEach((area) => seen.observe(area));
  });

  const page = document.documentElement.dataset;
  let theme;
  addEventListener("beforeprint", () => ([theme, page.theme] = [page.theme, "light"]));
  addEventListener("afterprint", () => (page.theme = theme));
})();
