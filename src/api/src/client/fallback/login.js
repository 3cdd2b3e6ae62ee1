"use strict";
// Parameters of the page that are no credentials are handed on to the login.
const given = Object.fromEntries(new URLSearchParams(window.location.search));
// Whoever signs on elsewhere comes back to this page with a token.
const loginToken = given.loginToken;
const credentials = [
    "type", "identifier", "user", "medium", "address", "password", "token", "loginToken",
];
for (const name of credentials) {
    delete given[name];
}
if (given.refresh_token !== undefined) {
    given.refresh_token = given.refresh_token === "true";
}

const message = document.getElementById("message");

async function logIn(proof) {
    message.textContent = "";
    try {
        const answer = await fetch("/_matrix/client/v3/login", {
            method: "POST",
            headers: { "Content-Type": "application/json" },
            body: JSON.stringify({ ...given, ...proof }),
        });
        const response = await answer.json();
        if (!answer.ok) {
            message.textContent = response.error;
        } else if (window.matrixLogin && window.matrixLogin.onLogin) {
            window.matrixLogin.onLogin(response);
        } else {
            message.textContent = "You are logged in, but no client took notice.";
        }
    } catch (error) {
        message.textContent = "The server does not answer.";
    }
}

document.getElementById("login").addEventListener("submit", (event) => {
    event.preventDefault();
    logIn({
        type: "m.login.password",
        identifier: { type: "m.id.user", user: document.getElementById("user").value },
        password: document.getElementById("password").value,
    });
});

const here = new URL(window.location.href);
here.searchParams.delete("loginToken");
for (const link of document.querySelectorAll("[data-provider]")) {
    const back = encodeURIComponent(here.href);
    link.href = `/_matrix/client/v3/login/sso/redirect/${link.dataset.provider}?redirectUrl=${back}`;
}
if (loginToken !== undefined) {
    window.history.replaceState(null, "", here.href);
    logIn({ type: "m.login.token", token: loginToken });
}
