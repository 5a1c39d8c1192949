(function () {
  const slider = document.getElementById("SLIDER");
  const control = slider.closest(".aeda-slider"), figure = slider.closest("figure");
  const labels = JSON.parse(control.dataset.labels), says = JSON.parse(control.dataset.says);
  function show() {
    for (const frame of figure.querySelectorAll("[data-frame]"))
      frame.style.display = frame.dataset.frame === slider.value ? "" : "none";
    control.querySelector("label b").textContent = labels[slider.value];
    control.querySelector("output").textContent = says[slider.value];
    slider.setAttribute("aria-valuetext", labels[slider.value]);
  }
  slider.addEventListener("input", show);
  control.hidden = false;
  show();
})();
