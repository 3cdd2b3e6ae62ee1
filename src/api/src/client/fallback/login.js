"use strict";
// Parameters of the page that are no credentials are handed on to the login.
const given = Object.fromEntries(new URLSearchParams(window.location.search));
const credentials = ["type", "identifier", "user", "medium", "address", "password", "token"];
for (const name of credentials) {
    delete given[name];
}
if (given.refresh_token !== undefined) {
    given.refresh_token = given.refresh_token === "true";
}

const message = document.getElementById("message");
document.getElementById("login").addEventListener("submit", async (event) => {
    event.preventDefault();
    message.textContent = "";
    const body = {
        ...given,
        type: "m.login.password",
        identifier: { type: "m.id.user", user: document.getElementById("user").value },
        password: document.getElementById("password").value,
    };
    try {
        const answer = await fetch("/_matrix/client/v3/login", {
            method: "POST",
            headers: { "Content-Type": "application/json" },
            body: JSON.stringify(body),
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
});
