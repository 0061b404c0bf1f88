// Rooms on Socket.IO with its Redis adapter, as its documentation has them: what somebody says goes to all others in the
// room, whichever server they are connected to. Arguments: the URL of Redis. Prints its port.
import { createServer } from "node:http";
import process from "node:process";
import { createAdapter } from "@socket.io/redis-adapter";
import { createClient } from "redis";
import { Server } from "socket.io";

const publisher = createClient({ url: process.argv[2] });
const subscriber = publisher.duplicate();
await Promise.all([publisher.connect(), subscriber.connect()]);

const server = createServer();
const io = new Server(server, { adapter: createAdapter(publisher, subscriber), transports: ["websocket"] });
io.on("connection", (socket) => {
  const { roomId } = socket.handshake.query;
  socket.join(roomId);
  socket.on("note", (payload) => socket.to(roomId).emit("note", payload));
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
