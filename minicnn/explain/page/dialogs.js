// @ts-check
// A dialog over the page.

/**
 * Shows a dialog; when it closes, the focus goes to the control of this key, and `onclose` runs.
 * @param {App} app
 * @param {HTMLElement} element
 * @param {string} key
 */
export function openDialog(app, element, key, onclose = () => {}) {
  const dialog = /** @type {HTMLDialogElement} */ (element);
  document.body.append(dialog);
  dialog.addEventListener("close", () => {
    dialog.remove();
    onclose();
    /** @type {HTMLElement | null} */
    const control = app.root.querySelector(`[data-focus="${key}"]`);
    control?.focus();
  });
  dialog.showModal();
  dialog.scrollTop = 0; // the control that gets the focus may be at the end
  return dialog;
}
