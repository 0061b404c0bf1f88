// Somebody's page that signs people in with next-auth's own client. Which version it is, the bundler is told.
import { createElement as element, useState } from "react";
import { createRoot } from "react-dom/client";
import { SessionProvider, getSession, signIn, signOut, useSession } from "next-auth/react";

function Page() {
  const { data, status } = useSession();
  const [said, say] = useState("");
  const signInAs = (redirect) => async (event) => {
    event.preventDefault();
    const { email, password } = Object.fromEntries(new FormData(event.target.form));
    const answer = await signIn("credentials", { email, password, redirect, callbackUrl: "/sessions" });
    // With a redirect the page is on its way, and there is no answer.
    if (!redirect) say(JSON.stringify([answer.ok, answer.error ?? null, answer.status]));
  };
  const ask = async () => say(JSON.stringify(await getSession()));
  const leave = async () => say((await signOut({ redirect: false, callbackUrl: "/about" })).url);
  return element(
    "form",
    null,
    element("h1", null, `${status} ${data?.user?.email ?? "nobody"}`),
    element("input", { name: "email", "aria-label": "Email" }),
    element("input", { name: "password", type: "password", "aria-label": "Password" }),
    element("button", { onClick: signInAs(false) }, "Sign in"),
    element("button", { onClick: signInAs(true) }, "Sign in and go"),
    element("button", { type: "button", onClick: ask }, "Who am I"),
    element("button", { type: "button", onClick: leave }, "Sign out"),
    element("output", null, said),
  );
}

createRoot(document.getElementById("root")).render(element(SessionProvider, null, element(Page)));
