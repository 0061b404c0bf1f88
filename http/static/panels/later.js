// The parts of the studio that are not needed at first: each is loaded, and made, when it is asked for.

const NOT_LOADED = "This part of the page could not be loaded. Check your connection and try again.";

const part = (id) => document.getElementById(id);

// `loaded.name()` is a promise of that part; `parts.name` is there once it is made. `studio` has what they are made of, and:
// `event(words)` in the talk, `undone()`, `failed(words)`, `drawState()`, `hush()` so that the song is silent here.
export function laterParts(studio) {
  const { sessionId, memberId, rights, song, conductor, player, timeline, roster, visit, tabs, go, lost, share } = studio;
  const parts = {};
  const makers = {
    async activity() {
      const { Activity } = await import("./activity.js");
      return new Activity(sessionId, memberId, rights, { undone: studio.undone, lost });
    },
    async comments() {
      const { Comments } = await import("./comments.js");
      return new Comments(sessionId, memberId, { song, conductor, rights, go, lost });
    },
    async mixdowns() {
      const { Mixdowns } = await import("./mixdowns.js");
      return new Mixdowns(sessionId, memberId, rights, {
        isTold: () => visit.isConnected,
        asked: (userId) => studio.event(`${roster.nameOf(userId)} asked for a mixdown.`),
        made: () => tabs.news("mixdowns"),
        played: studio.hush,
        lost,
      });
    },
    async people() {
      const { People } = await import("./people.js");
      return new People(sessionId, memberId, rights.isOwner);
    },
    async recording() {
      const { Recording } = await import("./recording.js");
      const host = part("recording-host");
      const name = () => visit.name || part("name").value;
      const recording = new Recording({ sessionId, memberId, rights, song, conductor, player, timeline, host, share, name, lost });
      recording.addEventListener("change", () => {
        conductor.isRecording = recording.isRecording;
        part("record").setAttribute("aria-pressed", String(recording.isRecording));
        studio.drawState();
      });
      return recording;
    },
    async recordings() {
      const { Recordings } = await import("../room/recordings.js");
      return new Recordings({ memberId, timeline, nameOf: (id) => roster.nameOf(id), tell: studio.event });
    },
  };
  const loaded = {};
  for (const [name, make] of Object.entries(makers)) {
    let making = null;
    loaded[name] = () => {
      making ??= make().then((made) => (parts[name] = made));
      making.catch(() => {
        making = null;
        studio.failed(NOT_LOADED);
      });
      return making;
    };
  }
  return { loaded, parts };
}
