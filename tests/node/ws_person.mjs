// Two members of a room, by the package `ws` with its defaults: the second says something, the first hears it.
import process from "node:process";
import WebSocket from "ws";

const [url, text] = process.argv.slice(2);
const first = new WebSocket(`${url}&memberId=first&displayName=First`);
first.on("message", (data) => {
  const message = JSON.parse(data);
  if (message.type === "welcome") {
    const second = new WebSocket(`${url}&memberId=second&displayName=Second`);
    second.on("open", () => second.send(JSON.stringify({ type: "note", payload: { text } })));
    first.on("close", () => second.close());
  }
  if (message.type === "note") {
    console.log(JSON.stringify([message.from, message.payload.text]));
    first.close();
  }
});
