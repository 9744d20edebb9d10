// The kill switch: a dialog that fetches a token when it opens, and sends it when the person confirms.

import { put } from "./store.js";
import { word } from "./words.js";

/** Wires the button and the dialog. */
export function wireHalt() {
  const dialog = document.getElementById("halt");
  const note = document.getElementById("halt-note");
  const confirm = document.getElementById("halt-confirm");
  const cancel = document.getElementById("halt-cancel");
  let token = "";

  const say = (name) => {
    note.textContent = name ? word(`halt.${name}`) : "";
  };
  const prepare = async () => {
    confirm.disabled = true;
    try {
      const answer = await fetch("halt/token", { method: "POST" });
      if (!answer.ok) throw new Error(String(answer.status));
      ({ token } = await answer.json());
      confirm.disabled = false;
    } catch {
      say("unreachable");
    }
  };
  const press = async () => {
    confirm.disabled = true;
    say("sending");
    let told = { code: "unreachable" };
    try {
      const answer = await fetch("halt", { method: "POST", headers: { "X-Halt-Token": token } });
      told = await answer.json();
    } catch {
      // Nobody answered, or what answered was not the copilot: said below.
    }
    if (told.trading) put("trading", told.trading);
    if (told.code === "halted") {
      dialog.close();
      return;
    }
    say(told.code);
    if (told.code !== "under_way") await prepare();
  };

  document.getElementById("kill").addEventListener("click", () => {
    say("");
    dialog.showModal();
    cancel.focus();
    prepare();
  });
  cancel.addEventListener("click", () => dialog.close());
  confirm.addEventListener("click", press);
}
