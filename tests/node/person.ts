// What a person does, with a client whose types are generated from our OpenAPI document.
import createClient, { type Middleware } from "openapi-fetch";
import { readFileSync } from "node:fs";
import process from "node:process";
import type { components, paths } from "./schema";

const [base = "", stem = "", name = ""] = process.argv.slice(2);
const studio = createClient<paths>({ baseUrl: base });

// Node keeps no cookies by itself.
const cookies = new Map<string, string>();
const jar: Middleware = {
  onRequest({ request }) {
    request.headers.set("Cookie", [...cookies].map(([key, value]) => `${key}=${value}`).join("; "));
    return request;
  },
  onResponse({ response }) {
    for (const cookie of response.headers.getSetCookie()) {
      const [, key = "", value = ""] = /^([^=]+)=([^;]*)/.exec(cookie) ?? [];
      cookies.set(key, value);
    }
  },
};
studio.use(jar);

function all<Data>(answer: { data?: Data; error?: { code: string }; response: Response }): Data {
  if (answer.data === undefined) throw new Error(`${answer.response.url}: ${answer.response.status} ${answer.error?.code}`);
  return answer.data;
}

const email = "ts@example.com";
all(await studio.POST("/api/auth/callback/credentials", { body: { email, password: "a good password" } }));
const who = all(await studio.GET("/api/auth/session"));

const { session } = all(await studio.POST("/api/sessions", { body: { name: "From TypeScript" } }));
const list = all(await studio.GET("/api/sessions", { params: { query: { limit: 10 } } }));
const one = all(await studio.GET("/api/sessions", { params: { query: { id: session.id } } }));

const form = new FormData();
form.append("sessionId", session.id);
form.append("file", new Blob([readFileSync(stem)], { type: "audio/wav" }), "bass.wav");
const { upload } = all(
  await studio.POST("/api/upload", { body: { file: "", sessionId: session.id }, bodySerializer: () => form }),
);
const { uploads } = all(await studio.GET("/api/upload/list", { params: { query: { sessionId: session.id } } }));
const changed = all(
  await studio.PATCH("/api/upload/{uploadId}", { params: { path: { uploadId: upload.id } }, body: { gainDb: -6 } }),
);

const asked = all(await studio.POST("/api/export", { body: { sessionId: session.id, format: "flac" } }));
let sound = new ArrayBuffer(0);
for (let tries = 0; tries < 5 && sound.byteLength === 0; tries++) {
  const path = { exportId: asked.exportId };
  const answer = await studio.GET("/api/export/{exportId}/download", { params: { path }, parseAs: "arrayBuffer" });
  if (answer.response.status === 200) sound = all(answer) as ArrayBuffer;
}
const made = all(await studio.GET("/api/export", { params: { query: { id: asked.exportId } } }));
const status: components["schemas"]["ExportAnswer"]["status"] = "status" in made ? made.status : "failed";

const nobody = await fetch(`${base}/api/sessions`);
const said = {
  who: who?.user?.email,
  listed: "sessions" in list ? list.sessions.map((each) => each.id === session.id) : [],
  one: "session" in one ? one.session.name : "",
  uploads: uploads.map((each) => each.upload.fileName),
  gainDb: changed.upload.gainDb,
  status,
  begins: new TextDecoder().decode(sound.slice(0, 4)),
  stranger: nobody.status,
};
console.log(name, JSON.stringify(said));
