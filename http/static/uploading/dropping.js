// Files that are dragged onto the page, and let go anywhere on it; the ones that are chosen with the field.

const FOLDERS = "Folders cannot be added. Open the folder, and choose the files in it.";

// `taken(files, event)` gets them, with where they were let go; `over(event)` hears where they are meanwhile, and null at the
// end; `refused(words)` hears why some cannot be.
export function takesFiles(field, { taken, over, refused }) {
  const takeChosen = () => {
    taken([...field.files], null);
    // So that choosing the same file once more is a change, too.
    field.value = "";
  };
  field.addEventListener("change", takeChosen);
  // Somebody may have been faster than this script.
  takeChosen();
  let depth = 0;
  const show = (change) => {
    depth = Math.max(0, depth + change);
    if (depth === 0) over(null);
  };
  const onFiles = (name, act) =>
    addEventListener(name, (event) => {
      if (!event.dataTransfer?.types.includes("Files")) return;
      // Otherwise the browser would leave the page and open the file.
      event.preventDefault();
      act(event);
    });
  onFiles("dragenter", () => show(1));
  onFiles("dragleave", () => show(-1));
  onFiles("dragover", (event) => {
    event.dataTransfer.dropEffect = "copy";
    over(event);
  });
  onFiles("drop", (event) => {
    show(-depth);
    const items = [...event.dataTransfer.items].filter(({ kind }) => kind === "file");
    const files = items.filter((item) => !item.webkitGetAsEntry?.()?.isDirectory).map((item) => item.getAsFile());
    taken(files.filter((file) => file !== null), event);
    if (files.length < items.length) refused(FOLDERS);
  });
}
