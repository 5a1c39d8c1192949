// Marks with names: the one that is pointed at, tapped or chosen from a list stands out, and its values are written
// under the picture. Without this script browsers show them as the title of each mark.
addEventListener("DOMContentLoaded", function () {
  const NEAR = 40; // px from the pointer to the middle of a mark

  for (const figure of document.querySelectorAll(".aeda-figure")) {
    const pictures = figure.querySelectorAll(".aeda-picture"), told = new Map();
    const marks = [...figure.querySelectorAll("[data-of]:has(> title)")];
    if (!marks.length) continue;
    for (const mark of marks) {
      const title = mark.querySelector("title");
      told.set(mark.dataset.of, title.textContent);
      title.remove();
    }

    const control = document.createElement("div"), label = document.createElement("label");
    const list = document.createElement("select"), output = document.createElement("output");
    control.className = "aeda-marks";
    label.append("Show ", list);
    control.append(label, output);
    [...pictures].at(-1).after(control);
    list.autocomplete = "off";
    list.add(new Option("all", ""));
    [...told.keys()].sort().forEach((name) => list.add(new Option(name, name)));
    output.setAttribute("aria-live", "polite");

    function show(name) {
      output.textContent = told.get(name) || "Point at a mark, tap it, or choose one.";
      for (const each of figure.querySelectorAll("svg [data-of]"))
        each.classList.toggle("aeda-other", name !== "" && each.dataset.of !== name);
    }

    function nearest(event) {
      let least = NEAR, name = "";
      for (const mark of marks.filter((each) => event.currentTarget.contains(each))) {
        const box = mark.getBoundingClientRect();
        const far = Math.hypot(box.x + box.width / 2 - event.clientX, box.y + box.height / 2 - event.clientY);
        if (far < least) [least, name] = [far, mark.dataset.of];
      }
      return name;
    }

    // a figure is drawn twice, for a column and for a phone
    for (const picture of pictures) {
      picture.addEventListener("pointermove", (event) => show(nearest(event) || list.value));
      picture.addEventListener("pointerleave", () => show(list.value));
      picture.addEventListener("click", (event) => show((list.value = nearest(event))));
    }
    list.addEventListener("change", () => show(list.value));
    show("");
  }
});
