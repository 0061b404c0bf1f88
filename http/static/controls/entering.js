// Fields in which Enter sends what is written, and Shift and Enter begin a new line.

// Have Enter in `field` submit its form: not one that is held down, nor one that ends a conversion, as of Japanese. Safari
// says of that one only by its code that it is none.
export function sendsByEnter(field) {
  field.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
    event.preventDefault();
    if (!event.repeat) field.form.requestSubmit();
  });
}
