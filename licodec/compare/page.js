"use strict";

// Each picture's viewer: which two codings lie on one another, how large, and where the line is.
for (const picture of document.querySelectorAll(".picture")) {
  const find = (selector) => picture.querySelector(selector);
  const [controls, stage, scroller, sheet] = [".controls", ".stage", ".scroller", ".sheet"].map(find);
  const [handle, wipe, left, right] = [".handle", ".wipe", ".side-left", ".side-right"].map(find);
  const crops = [...picture.querySelectorAll(".crop")];
  const [width, height] = [sheet.dataset.width, sheet.dataset.height].map(Number);
  const chosen = (name) => controls.querySelector(`input[data-choice="${name}"]:checked`).value;

  // The coding of a codec at the level that is chosen; the original has none.
  function cropOf(codec) {
    const level = chosen("level");
    return crops.find((c) => c.dataset.codec === codec && [level, "any"].includes(c.dataset.level));
  }

  function showCodings() {
    const level = chosen("level");
    for (const select of [left, right]) {
      for (const option of select.options) option.disabled = !cropOf(option.value);
      if (!cropOf(select.value)) select.value = "original";
    }
    const shown = { left: cropOf(left.value), right: cropOf(right.value) };
    for (const side of ["left", "right"]) {
      for (const crop of crops) crop.classList.toggle(side, crop === shown[side]);
      find(`.tag.${side}`).textContent = shown[side].querySelector("b").textContent;
      find(`.readout .${side}`).innerHTML = shown[side].querySelector("figcaption").innerHTML;
    }
    for (const body of picture.querySelectorAll("tbody")) {
      body.classList.toggle("now", body.dataset.level === level);
    }
    placeLine();
  }

  function zoom() {
    const wanted = chosen("zoom");
    const fit = Math.min(stage.clientWidth / width, (0.76 * innerHeight) / height, 2);
    const factor = wanted === "fit" ? fit : Number(wanted);
    const across = (scroller.scrollLeft + scroller.clientWidth / 2) / scroller.scrollWidth;
    const down = (scroller.scrollTop + scroller.clientHeight / 2) / scroller.scrollHeight;
    sheet.style.setProperty("--w", width * factor);
    sheet.style.setProperty("--h", height * factor);
    // What was in the middle stays there.
    scroller.scrollLeft = across * scroller.scrollWidth - scroller.clientWidth / 2;
    scroller.scrollTop = down * scroller.scrollHeight - scroller.clientHeight / 2;
    scroller.classList.toggle("zoomed", factor > fit);
    scroller.classList.toggle("pixelated", wanted !== "fit" && factor > 1);
    scroller.tabIndex = factor > fit ? 0 : -1;
    placeLine();
  }

  // What is seen of the sheet, from the left of the stage on: it may be narrower, or scrolled.
  function seen() {
    const origin = stage.getBoundingClientRect().left;
    const box = sheet.getBoundingClientRect();
    const start = Math.max(box.left - origin, 0);
    const stop = Math.min(box.right - origin, scroller.clientWidth);
    return { start, stop, offset: box.left - origin };
  }

  function placeLine() {
    const { start, stop, offset } = seen();
    const place = start + ((stop - start) * wipe.value) / 100;
    handle.style.left = `${place}px`;
    for (const crop of crops) crop.style.clipPath = "";
    const over = find(".crop.left");
    if (over && !over.classList.contains("right")) {
      over.style.clipPath = `inset(0 calc(100% - ${place - offset}px) 0 0)`;
    }
    const names = [left, right].map((select) => select.selectedOptions[0].text);
    wipe.setAttribute("aria-valuetext", `${names[0]} on the left ${Math.round(wipe.value)} percent, then ${names[1]}`);
  }

  function wipeTo(event) {
    const { start, stop } = seen();
    const place = event.clientX - stage.getBoundingClientRect().left;
    wipe.value = (100 * (place - start)) / (stop - start);
    placeLine();
  }

  stage.addEventListener("pointerdown", (event) => {
    const scrolls = event.pointerType !== "mouse" && scroller.classList.contains("zoomed");
    const onBar = event.clientX - stage.getBoundingClientRect().left > scroller.clientWidth ||
      event.clientY - scroller.getBoundingClientRect().top > scroller.clientHeight;
    if (event.button || onBar || (scrolls && event.target !== handle)) return;
    stage.setPointerCapture(event.pointerId);
    if (event.target !== handle) wipeTo(event);
    wipe.focus({ preventScroll: true, focusVisible: false });
    event.preventDefault();
  });
  stage.addEventListener("pointermove", (event) => {
    if (stage.hasPointerCapture(event.pointerId)) wipeTo(event);
  });
  wipe.addEventListener("input", placeLine);
  scroller.addEventListener("scroll", placeLine);
  controls.addEventListener("change", (event) => (event.target.dataset.choice === "zoom" ? zoom() : showCodings()));
  controls.addEventListener("submit", (event) => event.preventDefault());
  find(".swap").addEventListener("click", () => {
    [left.value, right.value] = [right.value, left.value];
    showCodings();
  });
  new ResizeObserver(zoom).observe(stage);
  controls.hidden = false;
  showCodings();
  zoom();
}
