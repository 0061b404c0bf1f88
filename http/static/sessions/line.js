// One line of the list of sessions.

const days = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric" });
const hours = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit" });
const MOST_UNREAD = 99;
const COVER = { width: 96, height: 40 };

export function newLine(session) {
  const line = document.getElementById("session-item").content.firstElementChild.cloneNode(true);
  line.dataset.id = session.id;
  const name = line.querySelector(".session-name");
  const unread = line.querySelector(".session-unread");
  name.id = `name-${session.id}`;
  unread.id = `unread-${session.id}`;
  const link = line.querySelector("a");
  link.href = `/sessions/${session.id}`;
  link.setAttribute("aria-describedby", `${name.id} ${unread.id}`);
  return line;
}

export function drawLine(line, session) {
  const { owner, unread } = session;
  line.dataset.at = session.lastActivityAt;
  line.querySelector(".session-name").textContent = session.name;
  line.querySelector(".session-unread").textContent = unread ? `${unread < MOST_UNREAD ? unread : `${MOST_UNREAD}+`} new` : "";
  line.querySelector(".session-role").textContent =
    session.role === "owner" ? "Yours" : `Shared by ${owner.name?.trim() || owner.email?.split("@")[0] || "somebody"}`;
  const time = line.querySelector("time");
  time.dateTime = session.lastActivityAt;
  drawTime(time);
  line.querySelector(".session-live").classList.toggle("is-live", session.participants > 0);
  line.querySelector(".session-count").textContent =
    session.participants === null ? "" : `${session.participants || "Nobody"} in the room`;
  drawCover(line.querySelector(".session-cover"), session.coverUploadId ?? "");
}

// The hour of what was today, the day of what was not.
export function drawTime(time) {
  const at = new Date(time.dateTime);
  time.textContent = (at.toDateString() === new Date().toDateString() ? hours : days).format(at);
}

function drawCover(box, upload) {
  if (box.dataset.upload === upload) return;
  box.dataset.upload = upload;
  box.replaceChildren();
  if (!upload) return;
  const picture = Object.assign(document.createElement("img"), { alt: "", loading: "lazy", ...COVER });
  picture.src = `/api/upload/${upload}/cover`;
  box.append(picture);
}
